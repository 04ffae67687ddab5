"""The layer network's features as colours: their axes, their shares, what is missing said in a sentence."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.records import Layers
from pipelines.step import UserError
from tests.test_hgm_back import coloured
from ui.inspect_features import data, sheet
from ui.inspect_posed_views import COLUMNS
from ui.step_plates import view_of

VIEW = view_of("hgm.coarse", "layers", "features.json")
assert VIEW is not None
ASKED = VIEW.argument


def reader_of(**changed: Any) -> Any:
    """A run whose steps are those that the view asks for; its network is the shipped one."""
    layers, body, maps = coloured()
    records = {**dict(zip(ASKED.split(), (layers, body, maps), strict=True)), **changed}
    return SimpleNamespace(record=records.__getitem__, run=SimpleNamespace(weights={}))


def cells_of(webp: bytes) -> list[np.ndarray]:
    """The sheet's cells that hold anything, (side, side, 4) 0..1."""
    whole = np.asarray(Image.open(io.BytesIO(webp)).convert("RGBA"), np.float32) / 255
    cells = np.split(whole, COLUMNS, axis=1)
    return [c for c in cells if c[..., 3].any()]


def test_features_are_colours_along_the_axes_in_which_they_differ_most() -> None:
    cells = json.loads(data(reader_of(), "hgm.coarse", ASKED))["cells"]
    shares = [int(c["note"].split()[0]) for c in cells]
    assert [c["label"] for c in cells[1:]] == ["Red", "Green", "Blue"] and cells[0]["wide"] * 4 == cells[0]["high"] * 3
    assert shares[1] >= shares[2] >= shares[3] > 0
    assert abs(shares[0] - sum(shares[1:])) <= 2 and 30 < shares[0] <= 100
    webp = sheet(reader_of(), "hgm.coarse", ASKED)
    assert webp == sheet(reader_of(), "hgm.coarse", ASKED)
    shown = cells_of(webp)
    assert len(shown) == len(cells)
    inside = shown[0][..., 3] > 0.9
    assert 0.02 < inside.mean() < 0.6 and shown[0][inside][:, :3].std(0).min() > 0.05
    for k, alone in enumerate(shown[1:]):
        grey = alone[inside][:, :3]
        assert np.ptp(grey, axis=-1).mean() < 0.03
        assert np.corrcoef(grey.mean(-1), shown[0][inside][:, k])[0, 1] > 0.9, "the same axis as that colour"


def test_without_a_person_or_its_weights_a_sentence_says_so() -> None:
    layers = coloured()[0]
    nobody = Layers({**layers.arrays, "mask": np.zeros_like(layers.arrays["mask"])}, layers.camera)
    with pytest.raises(UserError, match="hold nobody"):
        data(reader_of(layers=nobody), "hgm.coarse", ASKED)
    away = reader_of()
    away.run.weights = {"hgm.layers": "/nowhere/at-all.safetensors"}
    with pytest.raises(UserError, match=r"at-all\.safetensors"):
        sheet(away, "hgm.coarse", ASKED)
