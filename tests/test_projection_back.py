"""Colours of the far side on drawn people: bare arms, patterned cloth, hair that falls behind, the skin's colour."""

from __future__ import annotations

import numpy as np

from pipelines.projection.back_colours import back_colours, skin_colour
from pipelines.projection.nape import Heads
from pipelines.projection.outline import depth_inside

PIXEL = 0.004  # metres
NAMES = np.array(["torso", "neck", "face", "scalp", "upper_arm_left", "forearm_left", "hand_left"])
TORSO, NECK, FACE, SCALP, UPPER, FORE, HAND = range(7)
SKIN, HAIR, SHIRT = (np.array(c, np.float32) for c in ([0.72, 0.5, 0.4], [0.16, 0.1, 0.07], [0.25, 0.35, 0.6]))
NONE = np.zeros((180, 120), bool)
SOME = np.s_[60:170, 20:100]  # the trunk


def person(rgb: np.ndarray, mask: np.ndarray, front: np.ndarray, back: np.ndarray, **given: np.ndarray) -> np.ndarray:
    """The far side of a drawn person (180, 120), 4 mm a pixel."""
    heads = Heads(given.get("head", NONE), given.get("face", NONE), NONE)
    covered, arms = given.get("covered", mask), given.get("arms", NONE)
    return back_colours(rgb, mask, depth_inside(mask), (front, back), NAMES, heads, NONE, covered, arms, 8.0, PIXEL)[0]


def trunk(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    mask = NONE.copy()
    mask[SOME] = True
    part = np.where(mask, TORSO, 255).astype(np.uint8)
    return rgb.astype(np.float32), mask, part, part.copy()


def test_a_bare_arm_across_the_trunk_is_not_on_the_back() -> None:
    """It reaches the outline on both sides, and the fitted arm is 1 cm too high: to its labels the lower strip is trunk."""
    rgb, mask, front, back = trunk(np.where(NONE[..., None], 0.0, SHIRT))
    rgb[100:118, 20:100] = SKIN
    rgb[:20] = SKIN
    mask[20:60, 50:70], front[20:60, 50:70], back[20:60, 50:70] = True, FACE, SCALP
    rgb[20:60, 50:70] = SKIN
    arms = NONE.copy()
    arms[97:115, 20:100] = True
    front[97:115, 20:100] = FORE
    face = front == FACE
    made = person(rgb, mask, front, back, head=face, face=face, arms=arms)
    assert np.abs(made[95:125, 25:95] - SHIRT).max() < 0.05
    # A shirt with a bare midriff has no arm there, and is as bare behind.
    bare = person(rgb, mask, np.where(front == FORE, TORSO, front).astype(np.uint8), back, head=face, face=face)
    assert np.abs(bare[104:114, 25:95] - SKIN).mean() < 0.05


def test_a_pattern_goes_around_and_a_shirt_in_an_open_jacket_does_not() -> None:
    rows, columns = np.indices(NONE.shape)
    blocks = np.random.default_rng(4).integers(0, 3, (36, 24)).repeat(5, 0).repeat(5, 1)
    colours = np.array([[0.8, 0.2, 0.2], [0.9, 0.9, 0.85], [0.2, 0.25, 0.5]])
    rgb, mask, front, back = trunk(colours[blocks])
    inner = np.s_[70:160, 30:90]
    made = person(rgb, mask, front, back)
    assert (np.abs(made - rgb)[inner].max(-1) < 0.02).mean() > 0.65
    striped = np.where((rows // 6 % 2 > 0)[..., None], [0.9, 0.85, 0.8], [0.75, 0.1, 0.1])
    opened = np.where((np.abs(columns - 60) < 16)[..., None], striped, SHIRT)
    made = person(*trunk(opened))
    assert np.abs(made[inner] - SHIRT).mean() < 0.05


def test_long_hair_covers_the_nape_and_short_hair_its_upper_half() -> None:
    rgb, mask, front, back = trunk(np.where(NONE[..., None], 0.0, SHIRT))
    mask[10:60, 44:76] = True
    front[10:60, 44:76], back[10:60, 44:76] = SCALP, SCALP
    front[22:48, 48:72] = FACE
    front[48:60, 50:70], back[40:60, 50:70] = NECK, NECK
    for rows, columns in ((slice(10, 60), slice(44, 50)), (slice(10, 60), slice(70, 76))):
        mask[rows, columns] = True
    rgb[10:60, 44:76] = HAIR
    rgb[22:60, 50:70] = SKIN
    face, head = front == FACE, mask & (np.arange(180)[:, None] < 60)
    body = mask.copy()
    body[44:60, 44:50] = body[44:60, 70:76] = False
    falling = person(rgb, mask, front, back, head=head, face=face, covered=body)
    assert np.linalg.norm(falling[42:58, 54:66] - HAIR, axis=-1).max() < 0.15
    # A bare shoulder which the fitted body misses hangs nowhere.
    shoulder = np.s_[50:60, 36:44]
    wide, seen, in_front, behind = mask.copy(), rgb.copy(), front.copy(), back.copy()
    wide[shoulder], seen[shoulder], in_front[shoulder], behind[shoulder] = True, SKIN, TORSO, TORSO
    beside = person(seen, wide, in_front, behind, head=head, face=face, covered=body)
    assert np.linalg.norm(beside[46:58, 53:67] - HAIR, axis=-1).max() < 0.2
    bare = mask & (body | (np.arange(180)[:, None] < 44))
    short = person(rgb, bare, np.where(bare, front, 255).astype(np.uint8), np.where(bare, back, 255).astype(np.uint8),
                   head=head & bare, face=face)  # fmt: skip
    assert np.linalg.norm(short[42:46, 54:66] - HAIR, axis=-1).max() < 0.2
    assert np.linalg.norm(short[55:58, 54:66] - SKIN, axis=-1).max() < 0.2


def test_a_lit_ear_as_bright_as_grey_hair_is_not_the_back_of_the_head() -> None:
    """The far side's hair comes from the hair above the face alone, however like it a lit ear and jaw look."""
    rgb, mask, front, back = trunk(np.where(NONE[..., None], 0.0, SHIRT))
    mask[10:60, 38:82] = True
    front[10:60, 38:82], back[10:60, 38:82] = SCALP, SCALP
    grey, lit = np.float32([0.75, 0.75, 0.72]), np.float32([0.95, 0.72, 0.58])
    rgb[10:60, 38:82] = 0.75 * SKIN
    rgb[10:24, 38:82] = grey
    front[22:50, 50:70] = FACE
    ear = np.s_[28:54, 38:49]
    rgb[ear] = lit
    behind = person(rgb, mask, front, back, head=mask & (np.arange(180)[:, None] < 60), face=front == FACE)
    assert np.linalg.norm(behind[24:54, 42:78] - grey, axis=-1).max() < 0.15


def dressed(hair_to: int, shoulder: np.ndarray) -> tuple[np.ndarray, ...]:
    """Somebody in a dress with a wide neckline, whose hair hangs beside the neck and before one shoulder down to a row:
    photo, mask, labels in front and behind, head, face, and where the fitted body is."""
    rgb, mask, front, back = trunk(np.where(NONE[..., None], 0.0, SHIRT))
    front[60:170, 20:30], front[60:170, 90:100] = UPPER, UPPER
    back[60:170, 20:30], back[60:170, 90:100] = UPPER, UPPER
    mask[10:60, 44:76] = True
    front[10:60, 44:76], back[10:60, 44:76] = SCALP, SCALP
    front[22:48, 50:70] = FACE
    front[48:60, 50:70], back[44:60, 50:70] = NECK, NECK
    rgb[10:60, 44:76] = HAIR
    rgb[22:60, 50:70] = SKIN
    rgb[60:66, 20:100] = shoulder
    rgb[66:85, 40:80] = SKIN
    body = mask.copy()
    body[44:60, 44:50] = body[44:60, 70:76] = False
    rgb[44:hair_to, 70:84], mask[44:hair_to, 70:84] = HAIR, True
    rgb[60:hair_to, 96:112], mask[60:hair_to, 96:112], front[60:hair_to, 96:112] = HAIR, True, UPPER
    rgb[60:64, 80:112], mask[60:64, 80:112] = HAIR, True
    front[mask & (front == 255)], back[mask & (back == 255)] = SCALP, TORSO
    return rgb, mask, front, back, mask & (np.arange(180)[:, None] < 60), front == FACE, body


def test_hair_beside_the_trunk_lends_the_back_no_colour() -> None:
    rgb, mask, front, back, head, face, body = dressed(110, SHIRT)
    made = person(rgb, mask, front, back, head=head, face=face, covered=body)
    trunk_behind = made[66:105, 35:85]
    assert np.linalg.norm(trunk_behind - SHIRT, axis=-1).max() < 0.15
    # What hangs beside the body is hair from behind as well.
    assert np.linalg.norm(made[70:105, 104:109] - HAIR, axis=-1).max() < 0.1


def test_a_back_is_bare_below_bare_shoulders_alone() -> None:
    rgb, mask, front, back, head, face, body = dressed(62, SKIN)
    bare = person(rgb, mask, front, back, head=head, face=face, covered=body)
    assert np.linalg.norm(bare[68:82, 44:76] - SKIN, axis=-1).mean() < 0.08
    assert np.linalg.norm(bare[100:160, 35:85] - SHIRT, axis=-1).max() < 0.1
    rgb, mask, front, back, head, face, body = dressed(62, SHIRT)
    worn = person(rgb, mask, front, back, head=head, face=face, covered=body)
    assert np.linalg.norm(worn[68:82, 44:76] - SHIRT, axis=-1).mean() < 0.08


def test_skin_is_the_face_and_not_a_beige_sleeve() -> None:
    beige = np.array([0.85, 0.72, 0.62], np.float32)
    part = np.full(NONE.shape, FORE, np.uint8)
    rgb = np.broadcast_to(beige, (*NONE.shape, 3)).copy()
    part[:20], rgb[:20] = FACE, SKIN
    everywhere = np.ones_like(NONE)
    found = skin_colour(rgb, everywhere, part, NAMES, part == FACE)
    assert found is not None and np.abs(found - SKIN).max() < 1e-6
    sleeves = skin_colour(rgb, everywhere & (part == FORE), part, NAMES, NONE)
    assert sleeves is not None and np.abs(sleeves - beige).max() < 1e-6
    assert skin_colour(np.zeros_like(rgb), everywhere, part, NAMES, NONE) is None
