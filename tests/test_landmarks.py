"""Landmark networks: every operation against a plain twin and the tflite runtime's own values, the decoding against
drawn people and hands whose joints are known, and the cases in which there is nobody."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import threading
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from pipelines.landmarks import graph
from pipelines.landmarks.detector import anchors, merge
from pipelines.landmarks.face import face_square, read_face
from pipelines.landmarks.graph import build_operation, network
from pipelines.landmarks.hands import PALMS, hand_square, palm_square, read_hand, read_hands
from pipelines.landmarks.people import tiles
from pipelines.landmarks.pose import LANDMARKS, PoseReading, Square, find_people, mask_on_photo, read_pose
from pipelines.landmarks.pose_landmarks import person_square, pixels_per_metre, refine
from pipelines.landmarks.square import cut, invert, transform, upright_rotation

GOLDEN = Path(__file__).parent / "golden" / "landmarks"
NETWORKS = (
    "pose_detection",
    "pose_landmark_heavy",
    "palm_detection_full",
    "hand_landmark_full",
    "face_detection_short_range",
    "face_landmark",
)


def _recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("landmark_record", GOLDEN / "record.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RECORD = _recorder()
WHOLE = np.load(GOLDEN / "whole.npz", allow_pickle=False)
OPERATIONS = np.load(GOLDEN / "operations.npz", allow_pickle=False)


# --- drawn subjects ---------------------------------------------------------------------------------------------

JOINTS = {
    "left_shoulder": (345, 180),
    "right_shoulder": (255, 180),
    "left_elbow": (390, 260),
    "right_elbow": (195, 250),
    "left_wrist": (420, 335),
    "right_wrist": (170, 330),
    "left_hip": (328, 355),
    "right_hip": (272, 355),
    "left_knee": (340, 475),
    "right_knee": (262, 475),
    "left_ankle": (345, 585),
    "right_ankle": (255, 585),
    "left_eye": (315, 88),
    "right_eye": (285, 88),
}
TIPS = ((95, 210), (135, 95), (195, 70), (250, 85), (300, 130))  # of the drawn left hand, thumb first
SKIN, SHIRT, TROUSERS, HAIR = (224, 172, 140), (200, 40, 50), (40, 60, 120), (60, 40, 30)


def _limb(image: np.ndarray, points: list, thickness: int, colour: tuple) -> None:
    pixels = [tuple(map(int, point)) for point in points]
    for start, end in pairwise(pixels):
        cv2.line(image, start, end, colour, thickness, cv2.LINE_AA)
    for point in pixels:
        cv2.circle(image, point, thickness // 2, colour, -1, cv2.LINE_AA)


def _oval(image: np.ndarray, middle: tuple, axes: tuple, colour: tuple) -> None:
    cv2.ellipse(image, middle, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)


def draw_person() -> np.ndarray:
    """(660, 600, 3): a standing person whose joints are JOINTS, arms away from the body."""
    image = np.full((660, 600, 3), (190, 205, 215), np.uint8)
    image[560:] = (150, 140, 120)
    for side, sign in (("left", 1), ("right", -1)):
        hip, knee, ankle = (JOINTS[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        _limb(image, [hip, knee, ankle], 44, TROUSERS)
        _oval(image, (ankle[0] + 6 * sign, ankle[1] + 25), (20, 14), (30, 30, 30))
    cv2.fillPoly(image, [np.array([(240, 165), (360, 165), (352, 370), (248, 370)])], SHIRT, cv2.LINE_AA)
    for side in ("left", "right"):
        shoulder, elbow, wrist = (np.array(JOINTS[f"{side}_{name}"], float) for name in ("shoulder", "elbow", "wrist"))
        _limb(image, [shoulder, elbow], 38, SHIRT)
        along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
        across = np.array([-along[1], along[0]])
        _limb(image, [elbow, wrist], 26, SKIN)
        _oval(image, tuple((wrist + along * 14).astype(int)), (15, 15), SKIN)
        for k in (-1.2, -0.4, 0.4, 1.2):
            _limb(image, [wrist + along * 20 + across * k * 8, wrist + along * 42 + across * k * 10], 6, SKIN)
    _limb(image, [(300, 120), (300, 165)], 34, (205, 150, 120))
    _oval(image, (300, 85), (44, 56), HAIR)
    _oval(image, (300, 95), (36, 46), SKIN)
    for x in (285, 315):
        _oval(image, (x, 88), (7, 4), (250, 250, 250))
        cv2.circle(image, (x, 88), 3, (40, 30, 30), -1, cv2.LINE_AA)
        cv2.line(image, (x - 8, 78), (x + 8, 77), HAIR, 3, cv2.LINE_AA)
    _limb(image, [(300, 90), (298, 105), (303, 106)], 2, (180, 120, 95))
    _oval(image, (300, 122), (12, 4), (180, 60, 70))
    return cv2.GaussianBlur(image, (0, 0), 1).astype(np.float32) / 255


def draw_hand() -> np.ndarray:
    """(400, 400, 3): the palm of a left hand, fingertips at TIPS."""
    image = np.full((400, 400, 3), (90, 110, 100), np.uint8)
    palm = [
        (165, 400),
        (155, 330),
        (140, 255),
        (150, 190),
        (195, 172),
        (235, 180),
        (272, 200),
        (262, 270),
        (245, 330),
        (240, 400),
    ]
    cv2.fillPoly(image, [np.array(palm)], SKIN, cv2.LINE_AA)
    roots = ((140, 265), (160, 190), (195, 180), (230, 187), (262, 205))
    for tip, root, width in zip(TIPS, roots, (34, 32, 33, 31, 27), strict=True):
        _limb(image, [root, tip], width, SKIN)
    for tip, root in zip(np.array(TIPS[1:], float), np.array(roots[1:], float), strict=True):
        across = np.array([root[1] - tip[1], tip[0] - root[0]]) / np.linalg.norm(tip - root) * 9
        for share in (0.4, 0.7):
            middle = root + (tip - root) * share
            _limb(image, [middle - across, middle + across], 2, (190, 135, 105))
    for start, end in (((150, 270), (190, 320)), ((160, 240), (250, 225)), ((165, 265), (245, 265))):
        cv2.line(image, start, end, (190, 135, 105), 2, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), 1.5).astype(np.float32) / 255


@pytest.fixture(scope="module")
def person() -> np.ndarray:
    return draw_person()


@pytest.fixture(scope="module")
def reading(person: np.ndarray) -> PoseReading:
    return read_pose(person, find_people(person)[0].square)


def joint_errors(reading: PoseReading, to_photo: np.ndarray) -> np.ndarray:
    """Distances between read and drawn joints in drawn pixels, the drawing placed by a (2, 3) similarity."""
    names = list(JOINTS)
    truth = transform(to_photo, np.array([JOINTS[name] for name in names], float))
    read = reading.landmarks[[LANDMARKS.index(name) for name in names], :2]
    return np.hypot(*(read - truth).T) / np.hypot(*to_photo[:, 0])


# --- the interpreter --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_network_agrees_with_the_tflite_runtime(name: str) -> None:
    run = network(name)
    outputs = run(RECORD.probe_picture(*run.input_size))
    assert set(outputs) == {key.split("/")[1] for key in WHOLE if key.startswith(f"{name}/")}
    for key, values in outputs.items():
        expected = WHOLE[f"{name}/{key}"]
        error = np.abs(RECORD.sample(values, RECORD.WHOLE_SAMPLES) - expected).max()
        assert error <= 2e-4 * max(np.abs(expected).max(), 1.0), (key, error)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_operation_agrees_with_the_tflite_runtime(name: str) -> None:
    run, (seen, wrong) = network(name), (0, [])

    def watch(tensor: str, value: torch.Tensor) -> None:
        nonlocal seen
        seen += 1
        if value.ndim == 4:
            value = value.permute(0, 2, 3, 1)
        expected = OPERATIONS[f"{name}/{tensor}"]
        error = np.abs(RECORD.sample(value.numpy(), RECORD.OPERATION_SAMPLES) - expected).max()
        if not error <= 1e-3 * max(np.abs(expected).max(), 1e-3):
            wrong.append((tensor, float(error)))

    low, high = run.input_range
    picture = torch.from_numpy(RECORD.probe_picture(*run.input_size) * np.float32(high - low) + np.float32(low))
    with torch.inference_mode():
        run.run(picture[None].permute(0, 3, 1, 2), watch)
    assert seen == sum(key.startswith(f"{name}/") for key in OPERATIONS) > 50
    assert not wrong, wrong[:5]


def _nchw(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values)[None].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _run(op: dict, constants: dict[str, np.ndarray], *values: np.ndarray) -> np.ndarray:
    operation = build_operation(op, {key: torch.from_numpy(value) for key, value in constants.items()})
    out = operation(*[_nchw(value) for value in values])
    return (out.permute(0, 2, 3, 1)[0] if out.ndim == 4 else out).numpy()


@pytest.mark.parametrize(
    ("kernel", "stride", "pad", "groups", "act"),
    [
        ((1, 1), (1, 1), (0, 0, 0, 0), 1, "relu6"),
        ((3, 3), (2, 2), (0, 1, 0, 1), 1, None),
        ((3, 3), (1, 1), (1, 1, 1, 1), 4, "relu"),
        ((5, 3), (2, 1), (1, 0, 2, 1), 4, "relu6"),
    ],
)
def test_convolution_against_loops(kernel: tuple, stride: tuple, pad: tuple, groups: int, act: str | None) -> None:
    rng = np.random.default_rng(1)
    picture = rng.normal(0, 3, (7, 6, 4)).astype(np.float32)
    weight = rng.normal(0, 1, (8 if groups == 1 else 4, 4 // groups, *kernel)).astype(np.float32)
    bias = rng.normal(0, 1, len(weight)).astype(np.float32)
    op = {"op": "conv2d", "weight": "w", "bias": "b", "groups": groups, "stride": stride, "pad": pad, "act": act}
    left, right, top, bottom = pad
    padded = np.pad(picture, ((top, bottom), (left, right), (0, 0)))
    height = (padded.shape[0] - kernel[0]) // stride[0] + 1
    width = (padded.shape[1] - kernel[1]) // stride[1] + 1
    expected = np.zeros((height, width, len(weight)))
    for y, x, o in np.ndindex(*expected.shape):
        window = padded[y * stride[0] : y * stride[0] + kernel[0], x * stride[1] : x * stride[1] + kernel[1]]
        window = window if groups == 1 else window[..., o : o + 1]
        expected[y, x, o] = bias[o] + (window.transpose(2, 0, 1) * weight[o]).sum()
    expected = np.clip(expected, 0 if act else -np.inf, 6 if act == "relu6" else np.inf)
    np.testing.assert_allclose(_run(op, {"w": weight, "b": bias}, picture), expected, atol=2e-5)


def test_small_operations_against_loops() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 2, (2, 4, 6, 8)).astype(np.float32)
    np.testing.assert_array_equal(_run({"op": "add", "act": "relu"}, {}, a, b), np.maximum(a + b, 0))
    np.testing.assert_array_equal(_run({"op": "relu"}, {}, a), np.maximum(a, 0))
    np.testing.assert_allclose(_run({"op": "sigmoid"}, {}, a), 1 / (1 + np.exp(-a)), rtol=1e-6)
    slope = rng.normal(0, 1, 8).astype(np.float32)
    np.testing.assert_array_equal(_run({"op": "prelu", "weight": "s"}, {"s": slope}, a), np.where(a > 0, a, a * slope))
    np.testing.assert_array_equal(_run({"op": "concat", "axis": 1}, {}, a, b), np.concatenate([a, b], 2))
    np.testing.assert_array_equal(_run({"op": "reshape", "shape": [1, 24, 8]}, {}, a)[0], a.reshape(24, 8))
    np.testing.assert_allclose(_run({"op": "mean_hw"}, {}, a)[0], a.mean((0, 1)), atol=1e-6)
    np.testing.assert_array_equal(
        _run({"op": "pad", "pad": [1, 0, 0, 2], "channels": [0, 3]}, {}, a), np.pad(a, ((0, 2), (1, 0), (0, 3)))
    )
    pooled = _run({"op": "max_pool", "kernel": [2, 2], "stride": [2, 2], "pad": [0, 1, 0, 1]}, {}, -np.abs(a[:3, :5]))
    expected = np.stack(
        [[-np.abs(a[y : min(y + 2, 3), x : min(x + 2, 5)]).min((0, 1)) for x in (0, 2, 4)] for y in (0, 2)]
    )
    np.testing.assert_array_equal(pooled, expected)  # a margin of zeros would win here
    blocks = _run({"op": "depth_to_space", "block": 2}, {}, a)
    for y, x, c in np.ndindex(8, 12, 2):
        assert blocks[y, x, c] == a[y // 2, x // 2, (y % 2) * 4 + (x % 2) * 2 + c]
    resized = _run({"op": "resize", "size": [9, 12], "align_corners": False}, {}, a)
    for y, x in ((0, 0), (8, 11), (4, 5), (1, 7)):
        v, u = (y + 0.5) * 4 / 9 - 0.5, (x + 0.5) * 6 / 12 - 0.5
        v, u = min(max(v, 0.0), 3.0), min(max(u, 0.0), 5.0)
        rows, columns = np.array([int(v), min(int(v) + 1, 3)]), np.array([int(u), min(int(u) + 1, 5)])
        weights = np.outer([1 - v % 1, v % 1], [1 - u % 1, u % 1])
        np.testing.assert_allclose(resized[y, x], np.einsum("ij,ijc->c", weights, a[np.ix_(rows, columns)]), atol=1e-5)
    matrix, bias = rng.normal(0, 1, (3, 192)).astype(np.float32), rng.normal(0, 1, 3).astype(np.float32)
    dense = _run(
        {"op": "linear", "weight": "w", "bias": "b", "act": None},
        {"w": matrix, "b": bias},
        np.ascontiguousarray(a.reshape(1, 1, 192)),
    )
    np.testing.assert_allclose(dense[0], matrix @ a.reshape(-1) + bias, atol=1e-4)


def test_unknown_operation_and_wrong_input_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'warp'"):
        build_operation({"op": "warp"}, {})
    with pytest.raises(ValueError, match="128"):
        network("face_detection_short_range")(np.zeros((64, 64, 3), np.float32))
    with pytest.raises(FileNotFoundError, match="convert_landmarks"), graph.networks_from(tmp_path):
        network("face_landmark")
    (tmp_path / "x.json").write_text(json.dumps({"format": "other/9"}))
    with pytest.raises(ValueError, match="other/9"):
        graph.Network(tmp_path / "x.json")


def test_threads_are_restored_and_calls_from_many_threads_agree() -> None:
    run, before = network("face_landmark"), torch.get_num_threads()
    torch.set_num_threads(2)
    picture = RECORD.probe_picture(*run.input_size)
    alone, together = run(picture)["landmarks"], []
    workers = [threading.Thread(target=lambda: together.append(run(picture)["landmarks"])) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert after == 2
    assert len(together) == 6 and all(np.array_equal(alone, other) for other in together)


def test_shipped_files_are_complete_and_small() -> None:
    folder = graph.WEIGHTS
    notes = {note["network"]: note for note in json.loads((folder / "SOURCES.json").read_text())["networks"]}
    assert set(notes) == set(NETWORKS)
    for name, note in notes.items():
        assert json.loads((folder / f"{name}.json").read_text())["source_sha256"] == note["sha256"]
        assert len(note["sha256"]) == 64 and note["licence"] == "Apache-2.0" and note["version"]
    assert "Version 2.0, January 2004" in (folder / "LICENSE-APACHE-2.0.txt").read_text()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 43e6


# --- squares, anchors, merging ----------------------------------------------------------------------------------


def test_cutting_follows_the_square() -> None:
    rng = np.random.default_rng(3)
    picture = rng.random((40, 60, 3)).astype(np.float32)
    straight = cut(picture, Square(30, 20, 16), 16)
    np.testing.assert_allclose(straight, picture[12:28, 22:38], atol=2e-3)
    # A square turned by 90 degrees clockwise sees the picture turned back, counter-clockwise.
    np.testing.assert_allclose(cut(picture, Square(30, 20, 16, math.pi / 2), 16), np.rot90(straight), atol=2e-3)
    assert not cut(picture, Square(500, 20, 16), 16).any() and not cut(picture, Square(500, 20, 160), 16).any()
    square = Square(31.5, 18.25, 23, 0.4)
    unit = np.array([[0.2, 0.9], [0.5, 0.5]])
    np.testing.assert_allclose(transform(square.affine(64, 64), transform(square.photo_from_unit(), unit)), unit * 64)
    np.testing.assert_allclose(transform(invert(square.affine(8, 8)), np.array([[4.0, 4.0]])), [[31.5, 18.25]])
    # Without averaging first, a fine chequerboard seen from far away would come out black or white, not grey.
    board = np.repeat((np.indices((512, 512)).sum(0) % 2).astype(np.float32)[..., None], 3, axis=2)
    np.testing.assert_allclose(cut(board, Square(256, 256, 512), 64)[2:-2, 2:-2], 0.5, atol=1e-3)
    # A large square keeps edges where they are: an edge at x = 200 of 512 lies at 25 of 64.
    edge = np.zeros((512, 512, 3), np.float32)
    edge[:, 200:] = 1
    assert 64 - float(cut(edge, Square(256, 256, 512), 64)[30, :, 0].sum()) == pytest.approx(25.0, abs=0.05)


def test_rotations_and_broken_squares() -> None:
    origin = np.zeros(2)
    for vector, angle in (((0, -1), 0.0), ((1, 0), math.pi / 2), ((-1, 0), -math.pi / 2)):
        assert upright_rotation(origin, np.array(vector, float)) == pytest.approx(angle)
    assert abs(upright_rotation(origin, np.array([0.0, 1.0]))) == pytest.approx(math.pi)
    square = person_square(np.array([10.0, 20.0]), np.array([10.0, 12.0]))
    assert (square.x, square.y, square.side, square.rotation) == pytest.approx((10, 20, 20, 0))
    for broken in ((0, 0, 0), (0, 0, -1), (float("nan"), 0, 1)):
        with pytest.raises(ValueError, match="finite centre"):
            Square(*broken)


def test_anchor_order() -> None:
    pose = anchors(224, (8, 16, 32, 32, 32))
    assert pose.shape == (2254, 2) and anchors(192, (8, 16, 16, 16)).shape == (2016, 2)
    assert anchors(128, (8, 16, 16, 16)).shape == (896, 2)
    np.testing.assert_allclose(pose[[0, 1, 2, 56]], np.array([[0.5, 0.5], [0.5, 0.5], [1.5, 0.5], [0.5, 1.5]]) / 28)
    np.testing.assert_allclose(pose[28 * 28 * 2 + 14 * 14 * 2 :][:7], [[0.5 / 7, 0.5 / 7]] * 6 + [[1.5 / 7, 0.5 / 7]])


def test_merging_is_the_weighted_mean_of_what_overlaps() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [9, 9, 19, 19]], float)
    points = boxes.reshape(4, 2, 2)
    merged = merge(np.array([0.6, 0.9, 0.7, 0.5]), boxes, points)
    assert [round(score, 3) for score, _, _ in merged] == [0.9, 0.7, 0.5]
    np.testing.assert_allclose(merged[0][1], [0.6, 0, 10.6, 10])
    np.testing.assert_allclose(merged[0][2], [[0.6, 0], [10.6, 10]])
    np.testing.assert_array_equal(merged[1][1], boxes[2])


def test_heat_maps_pull_points_and_weak_ones_do_not() -> None:
    maps = np.full((64, 64, 3), -60.0)
    maps[20, 30, 0] = maps[20, 32, 0] = 9.0
    maps[20, 30, 1] = -1.0
    points = np.array([[0.49, 0.33], [0.49, 0.33], [1.4, 0.33]])
    moved = refine(points, maps)
    np.testing.assert_allclose(moved[0], [31 / 64, 20 / 64])
    np.testing.assert_array_equal(moved[1:], points[1:])


def test_landmarks_are_refined_by_their_heat_maps(person: np.ndarray, reading: PoseReading) -> None:
    run = network("pose_landmark_heavy")
    out = run(cut(person, reading.square, 256))
    raw = out["landmarks"].reshape(39, 5)[:33, :2].astype(np.float64) / 256
    to_photo = reading.square.photo_from_unit()
    moved = np.hypot(*(reading.landmarks[:, :2] - transform(to_photo, raw)).T)
    assert 0.05 < np.median(moved) < 0.02 * reading.square.side
    refined = refine(raw, out["heatmaps"][..., :33])
    np.testing.assert_allclose(reading.landmarks[:, :2], transform(to_photo, refined), atol=1e-2)


def test_tiles_cover_everything_with_overlap() -> None:
    for height, width, side in ((2000, 2000, 285.7), (500, 4000, 500), (300, 800, 400)):
        seen = np.zeros((height, width), bool)
        xs = set()
        for tile in tiles(height, width, side):
            corners = tile.corners()
            (left, top), (right, bottom) = np.maximum(np.floor(corners[0]), 0), np.ceil(corners[2])
            seen[int(top) : int(bottom), int(left) : int(right)] = True
            xs.add(tile.x)
        assert seen.all() and max(np.diff(sorted(xs)), default=0) <= 0.6 * side + 1e-6


# --- people, hands and faces ------------------------------------------------------------------------------------


def test_drawn_person_is_read_where_it_was_drawn(person: np.ndarray, reading: PoseReading) -> None:
    found = find_people(person)
    assert len(found) == 1 and reading.score > 0.9
    assert found[0].square.side == pytest.approx(reading.next_square.side, rel=0.08)  # both mean the same body
    x, y = np.mean([JOINTS["left_hip"], JOINTS["right_hip"]], axis=0)
    assert math.hypot(found[0].square.x - x, found[0].square.y - y) < 45
    head = np.array([JOINTS["left_eye"], JOINTS["right_eye"]])
    assert (head > found[0].head[:2]).all() and (head < found[0].head[2:]).all()
    errors = joint_errors(reading, np.eye(2, 3))
    assert errors.mean() < 12 and errors.max() < 22  # of 600 px body height
    large = [LANDMARKS.index(name) for name in JOINTS]
    assert (reading.visibility[large] > 0.5).all() and (reading.presence[large] > 0.9).all()
    # World axes: x to the right of the picture, y down, origin between the hips, metres of a human.
    left, right = LANDMARKS.index("left_shoulder"), LANDMARKS.index("right_shoulder")
    assert 0.2 < reading.world[left, 0] - reading.world[right, 0] < 0.5
    assert reading.world[left, 1] < -0.3 and reading.world[LANDMARKS.index("left_ankle"), 1] > 0.5
    assert np.abs(reading.world[[23, 24]].mean(0)).max() < 0.02
    assert reading.world[0, 2] < 0 and reading.landmarks[0, 2] < 0  # the nose is nearer than the hips
    assert 300 < pixels_per_metre(reading) < 460  # 540 px from eyes to soles


def test_mask_lies_on_the_person(person: np.ndarray, reading: PoseReading) -> None:
    mask = mask_on_photo(reading, person.shape[:2])
    assert mask.shape == person.shape[:2] and mask.dtype == np.float32 and mask.min() >= 0 and mask.max() <= 1
    empty = np.full((660, 600, 3), (190, 205, 215), np.uint8)
    empty[560:] = (150, 140, 120)
    truth = np.abs(person - cv2.GaussianBlur(empty, (0, 0), 1) / np.float32(255)).max(2) > 0.08
    found = mask > 0.5
    assert (truth & found).sum() / (truth | found).sum() > 0.9
    far = read_pose(person, Square(300, 300, 200), passes=1)  # nothing is invented outside the square
    assert not mask_on_photo(far, person.shape[:2])[:195].any()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_pictures_give_turned_readings(person: np.ndarray, reading: PoseReading, turns: int) -> None:
    turned = np.ascontiguousarray(np.rot90(person, turns))
    height, width = person.shape[:2]
    place = {1: [[0, 1, 0], [-1, 0, width]], 2: [[-1, 0, width], [0, -1, height]], 3: [[0, -1, height], [1, 0, 0]]}
    there = read_pose(turned, find_people(turned)[0].square)
    assert joint_errors(there, np.array(place[turns], float)).mean() < 12
    linear = np.array(place[turns], float)[:, :2]
    np.testing.assert_allclose(there.world[:, :2], reading.world[:, :2] @ linear.T, atol=0.06)
    np.testing.assert_allclose(there.world[:, 2], reading.world[:, 2], atol=0.12)


def test_two_people_largest_first(person: np.ndarray) -> None:
    small = cv2.resize(person, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    scene = np.full((660, 1100, 3), person[0, 0], np.float32)
    scene[660 - small.shape[0] :, : small.shape[1]] = small
    scene[:, 480:1080] = person
    people = find_people(scene)
    assert len(people) == 2 and people[0].size_score >= people[1].size_score
    assert people[0].square.x == pytest.approx(480 + 300, abs=30) and people[1].square.x == pytest.approx(210, abs=25)


@pytest.mark.parametrize(("size", "body", "corner"), [((1800, 1800), 70, (1310, 620)), ((400, 4000), 300, (3300, 60))])
def test_small_people_in_large_pictures_are_found(person: np.ndarray, size: tuple, body: int, corner: tuple) -> None:
    scale = body / 600
    small = cv2.resize(person, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    scene = np.full((*size, 3), 0.62, np.float32)
    scene += np.linspace(0, 0.15, size[1], dtype=np.float32)[None, :, None]
    x, y = corner
    scene[y : y + small.shape[0], x : x + small.shape[1]] = small
    people = find_people(scene)
    assert len(people) == 1
    errors = joint_errors(read_pose(scene, people[0].square), np.array([[scale, 0, x], [0, scale, y]]))
    assert errors.mean() < 16


@pytest.mark.parametrize("seed", [1, 4])
def test_clouds_that_fool_the_detector_and_the_first_look_are_not_people(seed: int) -> None:
    coarse = np.random.default_rng(seed).random((12, 12, 3))
    clouds = cv2.resize(coarse, (400, 400), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    assert find_people(clouds.astype(np.float32)) == []


@pytest.mark.parametrize("kind", ["black", "white", "noise", "clouds", "dot", "postage stamp", "strip"])
def test_nobody_is_found_where_nobody_is(kind: str) -> None:
    rng = np.random.default_rng(5)
    scene = {
        "black": np.zeros((300, 200, 3)),
        "white": np.ones((300, 200, 3)),
        "noise": rng.random((360, 360, 3)),
        "clouds": cv2.resize(rng.random((16, 16, 3)), (400, 400), interpolation=cv2.INTER_CUBIC).clip(0, 1),
        "dot": np.ones((1, 1, 3)),
        "postage stamp": rng.random((32, 32, 3)),
        "strip": rng.random((40, 1200, 3)),
    }[kind]
    assert find_people(scene.astype(np.float32)) == []


def test_wrong_pictures_are_refused() -> None:
    for wrong in (
        np.zeros((10, 10), np.float32),
        np.zeros((10, 10, 4), np.float32),
        np.zeros((10, 10, 3), np.uint8),
        np.zeros((0, 10, 3), np.float32),
    ):
        with pytest.raises(ValueError, match="float RGB"):
            find_people(wrong)
    with pytest.raises(ValueError, match="one pass"):
        read_pose(np.zeros((8, 8, 3), np.float32), Square(4, 4, 8), passes=0)


def test_same_picture_same_bytes(person: np.ndarray) -> None:
    digests = set()
    for _ in range(2):
        again = read_pose(person, find_people(person)[0].square)
        digests.add(hashlib.sha256(again.landmarks.tobytes() + again.world.tobytes() + again.mask.tobytes()).digest())
    assert len(digests) == 1


@pytest.mark.parametrize(("turns", "mirrored"), [(0, False), (0, True), (1, False)])
def test_drawn_hand_is_read_where_it_was_drawn(turns: int, mirrored: bool) -> None:
    hand, truth = draw_hand(), np.array(TIPS, float)
    if mirrored:
        hand, truth = hand[:, ::-1], np.array([400, 0]) + truth * [-1, 1]
    for _ in range(turns):
        hand, truth = np.rot90(hand), np.stack([truth[:, 1], 400 - truth[:, 0]], axis=1)
    hand = np.ascontiguousarray(hand)
    palms = PALMS.find(hand, Square(200, 200, 900))
    assert palms and upright_rotation(palms[0].points[0], palms[0].points[2]) == pytest.approx(
        -math.pi / 2 * turns, abs=0.3
    )
    inside = transform(palm_square(palms[0]).affine(1, 1), truth)
    assert inside.min() > 0.0 and inside.max() < 1.0 and inside[1:, 1].max() < 0.5  # fingers up, all in view
    reading = read_hand(hand, palm_square(palms[0]))
    assert reading.presence > 0.8 and (reading.right > 0.5) == mirrored
    assert np.hypot(*(reading.landmarks[[4, 8, 12, 16, 20], :2] - truth).T).max() < 16
    spread = reading.landmarks[:, :2] - reading.landmarks[:, :2].mean(0)
    world = reading.world[:, :2] - reading.world[:, :2].mean(0)
    assert (spread * world).sum() / np.linalg.norm(spread) / np.linalg.norm(world) > 0.97  # same axes as the photo
    assert 0.1 < np.ptp(world @ [[0, 1], [1, 0]], axis=0).max() < 0.25  # metres of a hand


def test_next_squares_turn_and_grow_with_their_points() -> None:
    rng = np.random.default_rng(6)
    for square_of, count in ((lambda p: hand_square(p, 0.0), 21), (face_square, 468)):
        points = rng.normal((200, 150), 30, (count, 2))
        first = square_of(points)
        cos, sin = 1.7 * math.cos(0.6), 1.7 * math.sin(0.6)
        move = np.array([[cos, -sin, 12.0], [sin, cos, -7.0]])
        second = square_of(transform(move, points))
        np.testing.assert_allclose((second.x, second.y), transform(move, np.array([[first.x, first.y]]))[0], atol=1e-6)
        assert second.side == pytest.approx(1.7 * first.side)
        assert math.remainder(second.rotation - first.rotation - 0.6, math.tau) == pytest.approx(0, abs=1e-9)


def test_face_of_the_drawn_person(person: np.ndarray, reading: PoseReading) -> None:
    face = read_face(person, reading)
    assert face is not None and face.presence > 0.9 and face.landmarks.shape == (468, 3)
    right, left = face.landmarks[[33, 133], :2].mean(0), face.landmarks[[263, 362], :2].mean(0)
    assert np.hypot(*(right - JOINTS["right_eye"])) < 8 and np.hypot(*(left - JOINTS["left_eye"])) < 8
    mouth = face.landmarks[[13, 14], :2].mean(0)
    assert np.hypot(*(mouth - (300, 122))) < 8
    covered = person.copy()
    covered[20:165, 240:360] = 0.5
    assert read_face(covered, reading) is None


def test_hands_of_a_person_come_from_that_person(person: np.ndarray, reading: PoseReading) -> None:
    hand = draw_hand()
    scale = pixels_per_metre(reading)
    size = round(0.24 * scale)  # a hand with its wrist, in metres
    scene = person.copy()
    scene[290:450, 390:] = hand[5, 5]
    small = cv2.resize(hand, (size, size), interpolation=cv2.INTER_AREA)[::-1]
    wrist = JOINTS["left_wrist"]
    x, y = wrist[0] - size // 2, wrist[1] - size // 8
    scene[y : y + size, x : x + size] = small
    hands = read_hands(scene, reading)
    assert hands["left"] is not None and hands["left"].presence > 0.5
    tips = np.array(TIPS, float) * size / 400
    truth = np.stack([x + tips[:, 0], y + size - tips[:, 1]], axis=1)
    assert np.hypot(*(hands["left"].landmarks[[4, 8, 12, 16, 20], :2] - truth).T).mean() < 8
    scene[290:450, 390:] = 0.4
    assert read_hands(scene, reading)["left"] is None
