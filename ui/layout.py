"""The page as Gradio blocks.

Gradio carries the frame, the native controls and the function for programs; the rail, the stage and the inspector are
drawn by our own scripts (assets/style) from one snapshot of the run. The controls only tell the scripts what was chosen
and pressed, and the scripts ask the server themselves (`ui.door`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.step import UserError
from pipelines.systems import offered
from ui import plates
from ui.actions import Actions
from ui.downloads import cards
from ui.follow import Logs, follow
from ui.run_reader import RunReader
from ui.session import PUBLIC, new_token
from ui.texts import FOOTER, MASTHEAD

TAKES_VIEWS = "views"  # the method that begins with pictures from several sides


def widget(name: str, **options: Any) -> gr.HTML:
    """A component drawn by the function `name` in assets/style/main.js. Its own markup never changes, so that an
    iframe in it is never loaded anew."""
    script = (
        "import(new URL('style/main.js', document.baseURI).href).then((main) => "
        f"main.{name}(element.querySelector('.hs-{name}'), {{props}}));"
    )
    return gr.HTML(
        html_template=f"<div class='hs-{name}'></div>", js_on_load=script, elem_id=f"hs-{name}",
        apply_default_css=False, **options,
    )  # fmt: skip


def tell(event: str, *names: str) -> str:
    """A script that passes the values of Gradio's controls on, as the event `event` with these names in its detail.
    Nothing is asked of the server, so nothing waits for it."""
    values = ", ".join(names)
    return f"({values}) => {{ window.dispatchEvent(new CustomEvent('{event}', {{ detail: {{ {values} }} }})); }}"


class ForPrograms:
    """The one function that programs call."""

    def __init__(self, actions: Actions) -> None:
        self.actions, self.session, self.logs = actions, actions.session, Logs()

    async def reconstruct(self, photo: gr.FileData, system: str = "projection", seed: int = 0) -> AsyncIterator[dict]:
        """One photo in, the run's record with addresses of its files out; yields while it works."""
        worker = await self.actions.ready()
        token = new_token()
        path = Path(photo["path"] if isinstance(photo, dict) else photo.path)
        try:
            if path.stat().st_size > await self.actions.limit(system):
                raise UserError("The file is too large; send a smaller copy.")
            upload = self.session.keep_upload(token, path.read_bytes(), path.name)
            name = await self.actions.start(token, upload, system, seed, False)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error
        async for view in follow(self.session, worker, self.logs, token, name):
            yield {**view, "files": {c["format"]: f"{view['base']}/export/{c['format']}" for c in cards()}}


def build(actions: Actions, system: str) -> gr.Blocks:
    """The page. actions: of this server. system: the one chosen at first."""
    hours = actions.session.limits.keep_hours
    with gr.Blocks(title="Humanscope", fill_width=True, analytics_enabled=False, delete_cache=(3600, 7200)) as page:
        gr.HTML(MASTHEAD, elem_id="hs-masthead", apply_default_css=False)
        with gr.Row(elem_id="hs-work"):
            with gr.Column(elem_id="hs-side"):
                widget("photo", system=system, views=TAKES_VIEWS if TAKES_VIEWS in offered() else "")
                with gr.Row(elem_id="hs-go"):
                    go = gr.Button("Reconstruct", variant="primary", elem_id="hs-reconstruct")
                    stop = gr.Button("Stop", elem_id="hs-stop")
                stepwise = gr.Checkbox(
                    False, label="Step by step", info="Pause after each step.", elem_id="hs-stepwise"
                )
                with gr.Accordion("Settings", open=False, elem_id="hs-settings"):
                    chosen = gr.Dropdown(offered(), value=system, label="Method", elem_id="hs-system")
                    # Pressed by the script that is handed views while another method is chosen.
                    views = gr.Button(TAKES_VIEWS, elem_id="hs-take-views", visible="hidden")
                    seed = gr.Number(0, precision=0, minimum=0, label="Seed", elem_id="hs-seed")
                widget("examples", examples=example_cards(actions))
            with gr.Column(elem_id="hs-top"):
                widget("rail")
            with gr.Column(elem_id="hs-main"):
                widget("stage", legend=plates.SEEN_LEGEND)
                widget("files", formats=cards())
            with gr.Column(elem_id="hs-inspect"):
                widget("panel")
        widget("compare", systems=offered())
        widget("evaluation")
        gr.HTML(FOOTER.replace("{hours}", f"{hours:g}"), elem_id="hs-footer", apply_default_css=False)
        widget("door")

        start = tell("hs-start", "system", "seed", "stepwise")
        go.click(None, [chosen, seed, stepwise], None, js=start, api_visibility="private")
        views.click(None, None, [chosen], js=f"() => '{TAKES_VIEWS}'", api_visibility="private")
        stop.click(None, None, None, js=tell("hs-stop"), api_visibility="private")
        stepwise.change(None, [stepwise], None, js=tell("hs-stepwise", "stepwise"), api_visibility="private")
        chosen.change(None, [chosen], None, js=tell("hs-system", "system"), api_visibility="private")
        gr.api(ForPrograms(actions).reconstruct, api_name="reconstruct", concurrency_limit=4)
    page.queue(default_concurrency_limit=8, max_size=256)
    return page


def example_cards(actions: Actions) -> list[dict[str, str]]:
    """Prepared runs and example photos, for the script that lists them."""
    from ui.routes import EXAMPLE_PHOTO, example_views

    found = []
    for name in actions.session.example_names():
        poster = poster_of(actions, name)
        found.append({"kind": "run", "name": name, "label": in_words(name), "poster": poster})
    folder = actions.session.examples.parent
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if EXAMPLE_PHOTO.fullmatch(path.name):
            poster = f"examples/{path.name}"
            found.append({"kind": "photo", "name": path.name, "label": in_words(path.stem), "poster": poster})
    for name, poster in example_views(folder).items():
        found.append(
            {"kind": "views", "name": f"{name}.zip", "label": in_words(name), "poster": f"examples/{name}/{poster}"}
        )
    return found


def poster_of(actions: Actions, name: str) -> str:
    """Address of the picture that stands for a prepared run: its cut-out, else its photo."""
    reader = RunReader(actions.session.folder(PUBLIC, name), actions.session.store)
    for kind, view in (("cutout", "cutout.webp"), ("photo", "photo.webp")):
        for state in reader.run.steps:
            if reader.kind(state.name) == kind:
                return f"files/{PUBLIC}/{name}/{state.name}/{view}?c={(state.content or '')[:12]}"
    return ""


def in_words(name: str) -> str:
    """A file name without its number, in words."""
    return name.replace("_", " ").replace("-", " ").strip("0123456789 ").capitalize() or name
