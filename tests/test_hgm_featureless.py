"""No face and no print shines through: what of the photo a network may lay where the back is made."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.geometry.cameras import Camera, intrinsics
from pipelines.hgm.back_network import BackAnswer
from pipelines.hgm.back_of_layers import painted, photo_for_back
from pipelines.hgm.featureless import featureless, made_behind
from pipelines.hgm.layer_input import LayerInput, find_crop, improved
from pipelines.projection.body_surfaces import NOTHING
from pipelines.records import Layers

torch = pytest.importorskip("torch")
CAMERA = Camera(intrinsics(240, 400, 40.0), 240, 400, np.eye(4))
NAMES = np.array(["torso", "neck", "scalp_left", "face_left"])
HEAD = (slice(40, 110), slice(90, 150))
FACE = (slice(60, 110), slice(100, 140))
MIDDLE = (slice(70, 100), slice(108, 132))  # of the face


def person(face_behind: bool = False) -> Layers:
    """A trunk and a head of 2.8 to 3.0 m depth; the photo has stripes everywhere, 8 px wide; the back is plain brown.

    Hair beside the face goes around, and so does the trunk's cloth on its left; the rest of the back is made.
    """
    mask = np.zeros((400, 240), bool)
    mask[HEAD], mask[110:380, 60:180] = True, True
    front_part = np.where(mask, 0, NOTHING).astype(np.uint8)
    front_part[HEAD], front_part[FACE], front_part[110:125, 100:140] = 2, 3, 1
    back_part = np.where(front_part == 3, 3 if face_behind else 2, front_part).astype(np.uint8)
    made = mask.copy()
    made[HEAD], made[FACE], made[110:380, 60:90] = False, True, False
    stripes = np.where((np.arange(400) // 8 % 2)[:, None, None], 0.9, 0.3) * np.ones((400, 240, 3))
    return Layers(
        {"mask": mask, "alpha": mask.astype(np.float32), "front": np.float32(2.8) * mask, "back": np.float32(3) * mask,
         "leave": np.float32(3) * mask, "enter": np.float32(2.8) * mask, "two": np.zeros_like(mask),
         "front_rgb": stripes.astype(np.float32), "back_rgb": np.full((400, 240, 3), 0.2, np.float32),
         "back_made": made, "front_part": front_part, "back_part": back_part, "part_names": NAMES}, CAMERA,
    )  # fmt: skip


def stripes_in(rgb: np.ndarray, where: tuple[slice, slice]) -> float:
    """Largest difference between rows of a region: 0.6 in the photo."""
    return float(np.ptp(rgb[where].mean((1, 2))))


def corrected(layers: Layers, share: float) -> np.ndarray:
    crop = find_crop(layers.arrays["mask"], layers.camera, 2.9, 128)
    nothing = np.zeros((2, 64, 48), np.float32), np.zeros((3, 64, 48), np.float32)
    return improved(layers, crop, nothing[0], np.full((64, 48), share, np.float32), nothing[1]).arrays["back_rgb"]


def test_behind_a_face_the_photo_lends_its_tone_and_no_feature() -> None:
    layers = person()
    back = corrected(layers, 1.0)
    assert stripes_in(layers.arrays["front_rgb"], MIDDLE) == pytest.approx(0.6)
    assert stripes_in(back, MIDDLE) < 0.08, "of 0.6, with stripes as wide as a mouth is high"
    assert np.abs(back[MIDDLE] - 0.6).max() < 0.06, "the mean of the stripes"
    # Half of it: half way from the back's own colour.
    assert np.abs(corrected(layers, 0.5)[MIDDLE] - 0.4).max() < 0.05


def test_what_goes_around_keeps_the_photo_s_own_pixel_and_a_made_trunk_has_no_print() -> None:
    layers = person()
    a, back = layers.arrays, corrected(layers, 1.0)
    cloth, hair = (slice(160, 370), slice(60, 80)), (slice(45, 52), slice(91, 96))
    for where in (cloth, hair):
        assert np.allclose(back[where], a["front_rgb"][where], atol=1e-5)
    assert stripes_in(back, (slice(200, 300), slice(110, 130))) < 0.08
    seen_from_behind = corrected(person(face_behind=True), 1.0)
    assert np.allclose(seen_from_behind[MIDDLE], a["front_rgb"][MIDDLE], atol=1e-5)


def test_a_print_lends_the_tone_of_the_cloth_around_it() -> None:
    layers = person()
    a = layers.arrays
    cloth, print_, belt = (0.8, 0.7, 0.2), (0.1, 0.2, 0.9), (0.3, 0.1, 0.1)
    trunk = np.s_[110:380, 60:180]
    a["front_rgb"][trunk], a["back_made"][trunk] = cloth, False
    a["front_rgb"][150:260, 80:160], a["back_made"][150:260, 80:160] = print_, True
    a["front_rgb"][290:320, 60:180], a["back_made"][290:320, 80:160] = belt, True
    back = corrected(layers, 1.0)
    assert np.abs(back[155:255, 90:150] - cloth).max() < 0.02
    assert np.abs(back[302:308, 90:150] - belt).max() < 0.25, "of 0.6: what changes with height goes on there"
    # Where nothing of the clothes goes around, it is a mean of what is there.
    a["back_made"][trunk] = True
    assert np.abs(corrected(layers, 1.0)[200:210, 110:130] - print_).max() < 0.1


def test_the_region_ends_softly_and_only_where_colours_are_made() -> None:
    layers = person()
    behind = made_behind(layers)
    assert behind.dtype == np.float32 and behind[MIDDLE].min() > 0.999
    assert behind[45:52, 91:96].max() == 0 and not behind[~layers.arrays["mask"]].any()
    across = behind[80, 90:150]  # through hair, face and hair
    assert across.max() > 0.999 and np.abs(np.diff(across)).max() < 0.6, "no step within the person"
    nobody = Layers({**layers.arrays, "mask": np.zeros_like(layers.arrays["mask"])}, layers.camera)
    assert not made_behind(nobody).any()
    plain = Layers({**layers.arrays, "back_made": np.zeros_like(layers.arrays["mask"])}, layers.camera)
    assert np.array_equal(featureless(plain, made_behind(plain)), layers.arrays["front_rgb"])


def test_the_refiner_lays_no_face_and_none_of_its_fine_structure() -> None:
    layers = person()
    crop = find_crop(layers.arrays["mask"], layers.camera, 2.9, 128)
    seen = LayerInput(np.zeros((32, 128, 96), np.float32), np.ones((128, 96), bool), crop)
    all_of = torch.ones(1, 1, 128, 96)
    photo = photo_for_back(layers, seen)
    # Folds of one pixel more or less, on what goes around and on the face alike.
    assert float(photo.fine[0, :, 200:300, 62:80].abs().mean()) > 0.02
    assert float(photo.fine[0, :, 72:98, 110:130].abs().max()) < 1e-3
    for answer in (
        BackAnswer(all_of, 0 * all_of, torch.zeros(1, 3, 128, 96), 0 * all_of),
        BackAnswer(all_of, 0 * all_of, torch.zeros(1, 3, 128, 96), all_of),
    ):
        back = painted(layers, seen, answer, photo).arrays["back_rgb"]
        assert stripes_in(back, MIDDLE) < 0.08 < 0.5 < stripes_in(back, (slice(200, 300), slice(62, 80)))
