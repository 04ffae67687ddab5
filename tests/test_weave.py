"""Woven structure: contrast like the cloth's, only from cloth of its colour, none where there is none to take."""

from __future__ import annotations

import numpy as np

from pipelines.projection.weave import woven

HIGH, WIDE, SIDE = 120, 160, 12


def cloth(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Structure, colours, source (left half) and region (right half): a red cloth above a blue one."""
    random = np.random.default_rng(seed)
    structure = random.normal(0, 0.05, (HIGH, WIDE, 3)).astype(np.float32)
    structure[HIGH // 2 :] *= 0.2
    colours = np.zeros((HIGH, WIDE, 3), np.float32)
    colours[: HIGH // 2], colours[HIGH // 2 :] = (0.8, 0.2, 0.2), (0.2, 0.2, 0.8)
    source = np.zeros((HIGH, WIDE), bool)
    source[:, : WIDE // 2] = True
    structure[~source] = 0
    return structure, colours, source, ~source


def test_the_contrast_of_the_cloth_is_kept_and_each_takes_its_own() -> None:
    structure, colours, source, region = cloth()
    made = woven(structure, colours, source, colours, region, SIDE)
    assert not made[~region].any()
    for rows in (slice(10, 50), slice(70, 110)):
        theirs, ours = structure[rows, : WIDE // 2].std(), made[rows, WIDE // 2 + SIDE :].std()
        assert 0.75 * theirs < ours < 1.15 * theirs, "a mean of overlapping patches would have about half of it"
        assert abs(made[rows, WIDE // 2 :].mean()) < 0.1 * theirs
    assert np.array_equal(made, woven(structure, colours, source, colours, region, SIDE))


def test_it_is_no_copy_of_one_patch() -> None:
    structure, colours, source, region = cloth()
    made = woven(structure, colours, source, colours, region, SIDE)[10:50, WIDE // 2 + SIDE :, 0]
    for shift in (SIDE // 2, SIDE):
        one, other = made[:, shift:].ravel(), made[:, :-shift].ravel()
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.3


def test_a_button_is_not_sown_over_the_back() -> None:
    structure, colours, source, region = cloth()
    structure[28:32, 38:42] = 0.6
    assert woven(structure, colours, source, colours, region, SIDE).max() < 0.3


def test_where_nothing_fits_nothing_is_laid() -> None:
    structure, colours, source, region = cloth()
    assert not woven(structure, colours, np.zeros_like(source), colours, region, SIDE).any()
    narrow = source.copy()
    narrow[:, SIDE - 2 :] = False
    assert not woven(structure, colours, narrow, colours, region, SIDE).any(), "no patch fits into the source"
    assert not woven(structure, colours, source, colours, np.zeros_like(region), SIDE).any()
    # From a source hardly larger than a patch the same one would come again and again.
    spot = np.zeros_like(source)
    spot[20 : 20 + SIDE + 2, 20 : 20 + SIDE + 2] = True
    small = woven(structure, colours, spot, colours, region, SIDE)
    assert small.std() < 0.2 * structure[spot].std()


def test_shadow_is_the_same_cloth_and_another_colour_is_not() -> None:
    structure, colours, source, region = cloth()
    base = colours.copy()
    base[:, WIDE // 2 :] *= 0.7
    made = woven(structure, colours, source, base, region, SIDE)
    upper, lower = made[10:50, WIDE // 2 + SIDE :].std(), made[70:110, WIDE // 2 + SIDE :].std()
    assert upper > 3 * lower
