"""One HTML file that shows the person in 3D: viser's viewer and a recorded scene inside, opened without a
network.

Source: viser 1.1.1, `scene.as_html`; the file asks no host for anything. The splats are a display copy (see
`display_copy`), never the data.
Frame: `bundle.FRAME`, said in a comment at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.export.bundle import Bundle, words
from pipelines.export.scene_layers import default_layers, described
from pipelines.export.viser_scene import scene_server

# viser sorts splats back to front in a worker of type "module" made from a blob. Chromium starts no such worker in a
# page opened from disk, says nothing, and shows the splats in the order of the file: backs over fronts. In such a
# page the same script is started as a classic worker, where `import.meta` has to go by its other name.
CLASSIC_WORKER = """<script>
if (location.protocol === "file:") {
  const Plain = window.Worker;
  window.Worker = function (url, options) {
    if (!options || options.type !== "module" || !String(url).startsWith("blob:")) return new Plain(url, options);
    const request = new XMLHttpRequest();
    request.open("GET", url, false);
    request.send();
    const text = request.responseText.replaceAll("import.meta.url", "self.location.href");
    return new Plain(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  };
  window.Worker.prototype = Plain.prototype;
}
</script>"""


def write(bundle: Bundle, path: Path, *, layers: Sequence[str] | None = None, dark: bool = False) -> str:
    """Write the page; without `layers` the splats, or the mesh where there are none. Returns one sentence."""
    layers = layers or default_layers(bundle)
    with scene_server(bundle, layers) as (server, filled):
        page = server.scene.as_html(dark_mode=dark)
    page = page.replace("<head>", f"<head><!-- Humanscope. {words(bundle)} -->{CLASSIC_WORKER}", 1)
    Path(path).write_text(page, encoding="utf-8")
    return f"Wrote one HTML file that opens without a network: {described(bundle, layers, filled.thickened)}"
