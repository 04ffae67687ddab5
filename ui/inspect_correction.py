"""Two layers before and after the network: the depths given and corrected, and by how much each place moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Floats, Layers
from pipelines.step import UserError
from ui.inspect_numbers import Facts, to_json
from ui.inspect_photo import webp
from ui.run_reader import RunReader

DEPTHS = {"front": "Front depth", "back": "Back depth"}
MAPS = {**DEPTHS, "colour": "Back colour"}
NEARER, FARTHER, CHANGED = (0.698, 0.094, 0.169), (0.129, 0.400, 0.675), (0.420, 0.247, 0.627)
STILL = (0.812, 0.812, 0.804)  # of what did not change
FULL_MM, FULL_PERCENT = (10, 20, 30, 50, 80, 120, 200, 300, 500), (5, 10, 20, 30, 50, 100)  # ends of a legend
CLEAR_MM = 20.0  # from where a move is counted
MARGIN = 0.04  # of the person's longer side, around the picture


@dataclass(frozen=True)
class Pair:
    """Layers of one grid, and the window (top, bottom, left, right) around the person."""

    given: Layers
    corrected: Layers
    mask: NDArray[np.bool_]
    window: tuple[slice, slice]

    def moved(self, side: str) -> Floats:
        """(h, w) millimetres away from the camera, 0 outside the person."""
        change = self.corrected.arrays[side] - self.given.arrays[side]
        return np.where(self.mask, 1000 * change, 0).astype(np.float32)

    def tinted(self) -> Floats:
        """(h, w) mean change of the back's three channels, percent of the whole range."""
        change = np.abs(self.corrected.arrays["back_rgb"] - self.given.arrays["back_rgb"]).mean(-1)
        return np.where(self.mask, 100 * change, 0).astype(np.float32)

    def doubt(self, side: str) -> Floats | None:
        """(h, w) millimetres by which the network expects to be wrong, 0 outside the person; None for colours, and where
        it said nothing."""
        found = self.corrected.arrays.get(f"{side}_doubt")
        return None if found is None else np.where(self.mask, 1000 * found, 0).astype(np.float32)


def read_pair(reader: RunReader, step: str, given: str) -> Pair:
    """The layers of `given` and of `step`; UserError when they are not of one grid or hold nobody."""
    before, after = reader.record(given), reader.record(step)
    assert isinstance(before, Layers) and isinstance(after, Layers)
    if before.arrays["mask"].shape != after.arrays["mask"].shape:
        raise UserError(f"'{step}' was made from other layers than those of '{given}'; run it again from there.")
    mask = before.arrays["mask"].astype(bool) & after.arrays["mask"].astype(bool)
    if not mask.any():
        raise UserError(f"The layers of '{given}' hold nobody; check the cut-out.")
    rows, columns = np.nonzero(mask)
    edge = round(MARGIN * max(np.ptp(rows), np.ptp(columns))) + 1
    window = tuple(slice(max(0, int(a.min()) - edge), int(a.max()) + edge + 1) for a in (rows, columns))
    return Pair(before, after, mask, (window[0], window[1]))


def picture(reader: RunReader, step: str, argument: str) -> bytes:
    """One picture, cut to the person. argument: 'layers change front': the step that gave the layers; 'given',
    'corrected', 'change' or 'doubt'; and a name of MAPS. UserError where the network said no doubt."""
    given, state, name = argument.split()
    pair = read_pair(reader, step, given)
    if state == "change":
        rgb = change_picture(pair, name)
    elif state == "doubt":
        rgb = doubt_picture(pair, name)
    elif name == "colour":
        rgb = (pair.given if state == "given" else pair.corrected).arrays["back_rgb"]
    else:
        rgb = depth_picture(pair, name, state)
    cut = np.dstack([rgb, pair.mask.astype(np.float32)])[pair.window]
    return webp(cut.astype(np.float32))


def change_picture(pair: Pair, name: str) -> Floats:
    """(h, w, 3): depths red towards the camera and blue away from it, colours violet; full at the legend's end."""
    ends = limits(pair)
    still = np.array(STILL, np.float32)
    if name == "colour":
        strength = np.clip(pair.tinted() / ends["colour"], 0, 1)[..., None]
        return (still + strength * (np.array(CHANGED, np.float32) - still)).astype(np.float32)
    strength = np.clip(pair.moved(name) / ends[name], -1, 1)[..., None]
    full = np.where(strength > 0, np.array(FARTHER, np.float32), np.array(NEARER, np.float32))
    return (still + np.abs(strength) * (full - still)).astype(np.float32)


def doubt_picture(pair: Pair, name: str) -> Floats:
    """(h, w, 3): violet where the network expects to be wrong, full at the legend's end."""
    doubt = pair.doubt(name)
    if doubt is None:
        raise UserError(
            f"The network said of '{name}' nothing about its doubt; look at a depth, or run the step again."
        )
    still, full = np.array(STILL, np.float32), np.array(CHANGED, np.float32)
    return (still + np.clip(doubt / doubt_limit(pair), 0, 1)[..., None] * (full - still)).astype(np.float32)


def doubt_limit(pair: Pair) -> float:
    """Where the doubt's legend ends, mm: a round number that all but two percent of the person stay below."""
    most = max(
        (float(np.percentile(d[pair.mask], 98)) for s in DEPTHS if (d := pair.doubt(s)) is not None), default=0.0
    )
    return float(next((n for n in FULL_MM if n >= most), FULL_MM[-1]))


def depth_picture(pair: Pair, name: str, state: str) -> Floats:
    """(h, w, 3): light is near, on one scale for the given and the corrected layer."""
    from pipelines.export.palette import ramp

    z = (pair.given if state == "given" else pair.corrected).arrays[name]
    near, far = span(pair, name)
    values = np.where(pair.mask, np.clip((far - z) / max(far - near, 1e-6), 0, 1), 0)
    return np.asarray(ramp(values.reshape(-1)), np.float32).reshape(*z.shape, 3)


def span(pair: Pair, name: str) -> tuple[float, float]:
    """Nearest and farthest depth of a layer before and after, metres, without a percent of outliers."""
    both = np.concatenate([layers.arrays[name][pair.mask] for layers in (pair.given, pair.corrected)])
    near, far = np.percentile(both, [1, 99])
    return float(near), float(far)


def limits(pair: Pair) -> dict[str, float]:
    """Where each legend ends: a round number that all but two percent of the person stay below; one for both depths."""
    moved = max(float(np.percentile(np.abs(pair.moved(side)[pair.mask]), 98)) for side in DEPTHS)
    tinted = float(np.percentile(pair.tinted()[pair.mask], 98))
    depth = next((n for n in FULL_MM if n >= moved), FULL_MM[-1])
    return {"front": depth, "back": depth, "colour": next((n for n in FULL_PERCENT if n >= tinted), 100)}


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """{'maps': [{name, label, unit, limit, near, far, words, doubt, doubt_words}]}. argument: the step that gave the layers."""
    pair = read_pair(reader, step, argument)
    ends, maps = limits(pair), []
    for name, label in MAPS.items():
        entry: dict[str, object] = {"name": name, "label": label, "limit": ends[name]}
        if name in DEPTHS:
            near, far = span(pair, name)
            entry |= {"unit": "mm", "near": f"{near:.2f} m", "far": f"{far:.2f} m", "words": depth_words(pair, name)}
            if (doubt := pair.doubt(name)) is not None:
                entry |= {"doubt": doubt_limit(pair), "doubt_words": f"median {np.median(doubt[pair.mask]):.0f} mm"}
        else:
            tinted = pair.tinted()[pair.mask]
            clear = f"{100 * (tinted > 10).mean():.0f} % of the back by more than a tenth of the range"
            entry |= {"unit": "%", "words": f"mean change {tinted.mean():.1f} %, {clear}"}
        maps.append(entry)
    return to_json({"maps": maps})


def depth_words(pair: Pair, side: str) -> str:
    """'median 20 mm, 48 % moved by more than 20 mm, mostly away from the camera'."""
    moved = pair.moved(side)[pair.mask]
    clear = np.abs(moved) > CLEAR_MM
    words = f"median {np.median(np.abs(moved)):.0f} mm, {100 * clear.mean():.0f} % moved by more than {CLEAR_MM:.0f} mm"
    if not clear.any():
        return words
    away = float((moved[clear] > 0).mean())
    where = "away from the camera" if away > 0.5 else "towards the camera"
    return f"{words}, {100 * max(away, 1 - away):.0f} % of that {where}"


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How much moved, in numbers. argument: the step that gave the layers."""
    pair = read_pair(reader, step, argument)
    height, width = pair.mask.shape
    rows: Facts = [("Grid", f"{width} x {height}"), ("Pixels of the person", f"{int(pair.mask.sum()):,}")]
    for side, name in (("front", "Front moved"), ("back", "Back moved")):
        moved = np.abs(pair.moved(side)[pair.mask])
        rows.append((f"{name}, median", f"{np.median(moved):.0f} mm"))
        rows.append((f"{name}, 95 % within", f"{np.percentile(moved, 95):.0f} mm"))
        if (doubt := pair.doubt(side)) is not None:
            rows.append((f"{name.split()[0]}, error it expects", f"{np.median(doubt[pair.mask]):.0f} mm"))
    thick = [np.median((x.arrays["back"] - x.arrays["front"])[pair.mask]) for x in (pair.given, pair.corrected)]
    rows.append(("Thickness, median", f"{100 * thick[0]:.1f} to {100 * thick[1]:.1f} cm"))
    rows.append(("Back colours, mean change", f"{pair.tinted()[pair.mask].mean():.1f} %"))
    return to_json(rows)
