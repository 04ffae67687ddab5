"""The lift that sees the picture: what it reads, that left and right are alike to it, and when it gives way."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.body.fit_lift import EDITED, POINTS, features, lifted
from pipelines.body.joints import MEDIAPIPE_NAMES
from pipelines.body.picture_lift import (
    LANDMARK_MIRROR,
    POINT_MIRROR,
    answer,
    default_picture_lift,
    mirror_image,
    read_picture_lift,
)
from pipelines.geometry.cameras import intrinsics
from pipelines.keypoints import keypoints_by_hand
from pipelines.landmarks.graph import network
from pipelines.landmarks.pose import Square, find_people, seen_in
from pipelines.landmarks.square import cut
from pipelines.records import Keypoints, Person
from training.picture_lift import PictureLift

K = intrinsics(300, 400, 40.0)
EXAMPLE = Path(__file__).parent.parent / "assets" / "examples" / "1-denim-jacket.jpg"


@lru_cache(maxsize=1)
def picture() -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(EXAMPLE).convert("RGB"), np.float32) / 255


def person_square() -> Square:
    return find_people(picture())[0].square


def mirrored_square() -> Square:
    square = person_square()
    return Square(picture().shape[1] - square.x, square.y, square.side, -square.rotation)


def somebody(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Landmarks (33, 4), world (33, 3) and seen (2, 1152) of nobody in particular."""
    rng = np.random.default_rng(seed)
    body = np.concatenate([rng.uniform(60, 240, (33, 2)), rng.uniform(0.3, 1, (33, 2))], 1)
    return body, rng.normal(0, 0.3, (33, 3)), rng.uniform(0, 3, (2, 1152))


def test_what_was_seen_is_the_networks_last_map_of_8_cells() -> None:
    """Quarter by quarter, of the tensor that the network's way to its points begins with."""
    run = network("pose_landmark_heavy")
    pixels = cut(picture(), person_square(), 256)
    at: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        image = torch.from_numpy(np.ascontiguousarray(pixels))[None].permute(0, 3, 1, 2)
        run.run(image, lambda name, value: at.update({name: value.clone()}))
    wanted = at["t644"][0].numpy()
    assert wanted.shape == (288, 8, 8) and (run.last_map(8, pixels) == wanted).all()
    quarters = [wanted[:, r : r + 4, c : c + 4].mean((1, 2)) for r in (0, 4) for c in (0, 4)]
    assert np.abs(seen_in(picture(), person_square())[0] - np.stack(quarters, 1).ravel()).max() < 1e-5
    with pytest.raises(ValueError, match="7 x 7"):
        run.last_map(7, pixels)


def test_the_mirrored_photo_is_seen_as_the_photos_mirror_image() -> None:
    plain, mirrored = seen_in(picture(), person_square()), seen_in(picture()[:, ::-1], mirrored_square())
    assert plain.shape == (2, 1152) and plain.dtype == np.float32
    same, other = np.abs(plain[0] - mirrored[1]).mean(), np.abs(plain[0] - plain[1]).mean()
    assert same < 0.01 * plain.std() and other > 5 * same


def test_left_and_right_are_alike() -> None:
    body, world, seen = somebody()
    px, other, visible = mirror_image((body[:, :2] - K[:2, 2])[None], world[None], body[None, :, 2:])
    turned = np.concatenate([px[0] + K[:2, 2], visible[0]], 1)
    a, b = lifted(body, world, K, None, seen), lifted(turned, other[0], K, None, seen[::-1])
    assert np.abs(a.points[POINT_MIRROR] * (-1, 1, 1) - b.points).max() < 1e-4
    assert np.abs(a.sigma[POINT_MIRROR] - b.sigma).max() < 1e-4
    assert a.log_size == pytest.approx(b.log_size, abs=1e-4) and a.pitch == pytest.approx(b.pitch, abs=1e-4)
    assert (LANDMARK_MIRROR[LANDMARK_MIRROR] == np.arange(33)).all()
    assert MEDIAPIPE_NAMES[LANDMARK_MIRROR[MEDIAPIPE_NAMES.index("left_wrist")]] == "right_wrist"


def test_the_file_is_read_as_it_was_taught() -> None:
    """The arrays in NumPy against the network of the training in torch."""
    weights = dict(default_picture_lift())
    grow = weights.pop("calibration")
    twin = PictureLift(
        len(weights["think"]), torch.from_numpy(weights["seen_mean"]), torch.from_numpy(weights["seen_scale"])
    )
    names = {n.replace(".weight", "").replace(".bias", "_bias"): n for n in twin.state_dict()}
    assert set(names) == set(weights)
    twin.load_state_dict({names[n]: torch.from_numpy(v) for n, v in weights.items()})
    body, world, seen = somebody(3)
    x, _ = features((body[:, :2] - K[:2, 2])[None], world[None], body[None, :, 2:], np.array([400.0]))
    found = answer({**weights, "calibration": grow}, x, seen[:1].astype(np.float32))
    with torch.no_grad():
        wanted = [v.numpy() for v in twin.eval()(torch.from_numpy(x), torch.from_numpy(seen[:1]).float())]
    assert np.abs(found[0].ravel() - wanted[0].ravel()).max() < 1e-3
    assert np.abs(np.log(found[1].ravel() / grow[0]) - wanted[1].ravel()).max() < 1e-3
    assert np.abs(found[2] - wanted[2]).max() < 1e-3
    assert np.abs(np.log(found[3] / grow[1]) - wanted[3]).max() < 1e-3


def test_a_limb_that_was_moved_by_hand_is_lifted_from_its_landmarks() -> None:
    body, world, seen = somebody(1)
    edited = np.zeros(33, bool)
    edited[15] = True  # the left wrist
    alone, looked, both = (
        lifted(body, world, K),
        lifted(body, world, K, None, seen),
        lifted(body, world, K, edited, seen),
    )
    arm = [POINTS.index(f"left_{part}") for part in ("elbow_joint", "wrist_joint", "index", "little")]
    rest = [i for i in range(len(POINTS)) if i not in arm]
    assert np.abs(looked.points - alone.points).max() > 0.02
    assert np.allclose(both.points[rest], looked.points[rest]) and np.allclose(both.sigma[rest], looked.sigma[rest])
    assert np.allclose(both.sigma[arm], alone.sigma[arm] * EDITED)
    apart = both.points[arm] - alone.points[arm]
    assert np.abs(apart - apart[0]).max() < 1e-9  # their shape is that of the landmarks, the hips are the picture's


def test_keypoints_carry_what_was_seen(tmp_path: Path) -> None:
    body, world, seen = somebody(2)
    points = Keypoints(
        body.astype(np.float32), world.astype(np.float32), np.zeros(33, bool), seen=seen.astype(np.float32)
    )
    points.save(tmp_path)
    again = Keypoints.load(tmp_path)
    assert again.seen is not None and np.abs(again.seen - seen).max() < 1e-4
    moved = keypoints_by_hand(again, {15: (10.0, 12.0)})
    assert moved.seen is again.seen
    assert dataclasses.replace(again, seen=None).seen is None
    with pytest.raises(ValueError, match="seen"):
        dataclasses.replace(again, seen=np.zeros((1, 1152), np.float32))


def test_a_person_without_sight_is_stored_too(tmp_path: Path) -> None:
    """Landmarks of another network: what it reads would mean something else to the lift."""
    body, world, seen = somebody(4)
    landmarks = np.concatenate([body[:, :2], np.zeros((33, 1)), body[:, 2:]], 1).astype(np.float32)
    mask, affine = np.zeros((256, 256), np.float32), np.eye(3, dtype=np.float32)[:2]
    box, one = np.zeros((1, 4), np.float32), np.ones(1, np.float32)
    for name, sight in (("with", seen.astype(np.float32)), ("without", None)):
        folder = tmp_path / name
        folder.mkdir()
        Person(box, one, 0, np.ones(4, np.float32), landmarks, world.astype(np.float32), mask, affine, "x", sight).save(
            folder
        )
        again = Person.load(folder)
        assert (again.seen is None) == (sight is None)
        assert sight is None or (again.seen == sight).all()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"picture_lift\.py"):
        read_picture_lift(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", schema=np.array("other/1"))
    with pytest.raises(ValueError, match="other/1"):
        read_picture_lift(tmp_path / "other.npz")
