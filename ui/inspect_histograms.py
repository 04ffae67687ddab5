"""How large and how opaque splats are, as histograms; and which of them the 3D view cannot show as they are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.records import SEEN_NAMES, Body, Splats
from pipelines.step import UserError
from ui.inspect_numbers import to_json
from ui.run_reader import RunReader
from ui.splats_body import body_of

FAINTEST = 1.0 / 255.0  # opacity; the rasteriser skips weaker contributions
BINS = 32
ENDS = (0.5, 99.5)  # percentiles of the sizes; what lies beyond is counted in the first and the last bin
TICKS = [m * 10.0**e for e in range(-2, 4) for m in (1, 2, 3, 5, 7)]  # mm
MOST_TICKS = 7  # of an axis; of more, those that begin with 1 or 5


class Floor(NamedTuple):
    """share: of the splats, 0..1, that the recorded 3D scene widens, as its shader would drop them when one zooms out.
    opaque_mm: the least standard deviation there of an opaque splat."""

    share: float
    opaque_mm: float


def under_floor(splats: Splats, body: Body | None) -> Floor:
    """Of splats of one person, by the scene's own rule (`pipelines.export.display_copy`). 0 and 0 without any."""
    # What fills a scene reads mesh files too, and is wanted here alone.
    from pipelines.export.bundle import Bundle
    from pipelines.export.display_copy import least_sigma
    from pipelines.export.finite import finite_splats
    from pipelines.export.scene_layers import FARTHER, WINDOW, first_view

    if not len(splats):
        return Floor(0.0, 0.0)
    finite, _ = finite_splats(splats)
    view = first_view(Bundle(splats=finite, body=body), finite.means)
    focal, distance = WINDOW / (2 * np.tan(view.fov / 2)), FARTHER * view.distance
    least = least_sigma(finite.opacities, focal, distance)
    # As in the display copy: the thin axis of a flat splat does not count.
    share = float((np.sort(finite.scales, axis=1)[:, 1] < least).mean())
    return Floor(share, float(1000 * least_sigma(np.ones(1), focal, distance)[0]))


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """{'names': [seen...], 'charts': [{title, unit, log, edges, counts, ticks, marks, words}]}.

    counts: for each of the names the splats of every bin; edges: one more than bins. marks: [[place, label]]. UserError
    when there are no splats.
    """
    splats = reader.record(step)
    assert isinstance(splats, Splats)
    if not len(splats):
        raise UserError(f"'{step}' made no splats; there is nothing to count.")
    return to_json({"names": list(SEEN_NAMES), "charts": [
        size_chart(splats, under_floor(splats, body_of(reader, step))), opacity_chart(splats),
    ]})  # fmt: skip


def size_chart(splats: Splats, floor: Floor) -> dict[str, Any]:
    """Largest standard deviation in millimetres, on a logarithmic axis. splats: some of finite size."""
    sizes = 1000 * splats.scales.max(1).astype(np.float64)
    usual = sizes[np.isfinite(sizes) & (sizes > 0)]
    low, high = np.percentile(usual, ENDS)
    if high < 1.3 * low:  # all of one size stand in the middle
        low, high = low / 1.3, high * 1.3
    edges = np.geomspace(low, high, BINS + 1)
    ticks = [t for t in TICKS if low <= t <= high]
    if len(ticks) > MOST_TICKS:
        ticks = [t for t in ticks if f"{t:e}"[0] in "15"]
    words = (
        f"Half of them between {np.percentile(usual, 25):.1f} and {np.percentile(usual, 75):.1f} mm. "
        f"{100 * floor.share:.0f} % lie under the display floor: the 3D view widens them so that they do not vanish when "
        "one zooms out; frames and files have them as they are."
    )
    marks = [[floor.opaque_mm, "floor of opaque ones"]] if low < floor.opaque_mm < high else []
    return {"title": "Size: largest sigma", "unit": "mm", "log": True, "edges": edges.tolist(),
            "counts": counted(sizes, splats.seen, edges), "ticks": ticks, "marks": marks, "words": words}  # fmt: skip


def opacity_chart(splats: Splats) -> dict[str, Any]:
    """Opacity from 0 to 1."""
    edges = np.linspace(0, 1, BINS + 1)
    faint = 100 * float((splats.opacities < FAINTEST).mean())
    words = f"Median {np.median(splats.opacities):.2f}. {faint:.1f} % are fainter than 1/255 and never drawn."
    return {"title": "Opacity", "unit": "", "log": False, "edges": edges.tolist(),
            "counts": counted(splats.opacities.astype(np.float64), splats.seen, edges),
            "ticks": [0, 0.25, 0.5, 0.75, 1], "marks": [], "words": words}  # fmt: skip


def counted(values: NDArray[np.float64], seen: NDArray[np.integer], edges: NDArray[np.float64]) -> list[list[int]]:
    """(N,) into the bins between edges, for each code of `seen`; what lies beyond goes to the first or last, what is no
    number nowhere."""
    finite = np.isfinite(values)
    bins = np.clip(np.searchsorted(edges, values[finite], "right") - 1, 0, len(edges) - 2)
    codes = np.minimum(seen[finite], len(SEEN_NAMES) - 1)
    return [np.bincount(bins[codes == code], minlength=len(edges) - 1).tolist() for code in range(len(SEEN_NAMES))]
