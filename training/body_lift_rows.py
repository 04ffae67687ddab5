"""What the lift is taught on: what the real landmark network says of training people, and poses alone, in many files.

    python -m training.body_lift_rows photos --seeds 0:8000 --out FOLDER
    python -m training.body_lift_rows poses --seeds 0:8000 --out FOLDER

`photos` draws every person four times (the seed's own camera and three others) at 512 px and runs the photo and person
steps on the JPEG, about 0.4 s a picture; what the landmark network sees is kept beside what it says. `poses` grows only
the pose (0.05 s), to be seen from any side by `body_lift`.
Files of 100 rows; a file that is there is not made again. Training seeds only.
"""

from __future__ import annotations

import argparse
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.body.joints import mediapipe_points
from pipelines.body.rig import default_rig
from pipelines.person import person as read_person
from pipelines.photo import photo
from pipelines.records import Body, Person, Upload
from pipelines.step import UserError
from training.people.background import KINDS, behind, composed
from training.people.bodies import person
from training.people.draw import photographed
from training.people.estimate import through
from training.people.grow import hip_halves, pack_place
from training.people.helpers_mesh import FLIP, rest_body, whole_mesh
from training.people.lens import developed, jpeg
from training.people.light import lights_of
from training.people.poses import pose, to_rig
from training.people.scene import Scene, scene_of
from training.people.streams import TRAIN, choose, stream
from training.people.subjects import before_the_camera
from training.people.truth import seen_by
from training.people.views import Shot, shot

LONG_SIDE, PER_FILE, OTHERS = 512, 100, 3
Row = dict[str, NDArray]


@lru_cache(maxsize=1)
def points_operator():  # type: ignore[no-untyped-def]
    """The 33 landmarks, then every bone's head, as points of the rig."""
    rig = default_rig()
    return rig.keypoint_operator([*mediapipe_points(rig), *rig.bone_names])


def photo_rows(seed: int) -> list[Row]:
    """What the network says of a person in four photos, and the truth in the photo's camera."""
    figure, own = before_the_camera(seed, LONG_SIDE)
    scene = scene_of(figure, pack_place(), lights_of(stream(seed, "light"), own.azimuth), halved=True)
    points = np.concatenate([p.vertices for p in figure.parts]).astype(np.float64)
    rng = np.random.default_rng([seed, 77])
    shots = [own]
    for _ in range(OTHERS):
        azimuth = float(rng.uniform(-180, 180)) if rng.random() < 0.4 else float(rng.uniform(-80, 80))
        shots.append(shot(rng, points, azimuth, LONG_SIDE, float(figure.facts.get("height_m", 0.0))))
    rows = []
    for view, taken in enumerate(shots):
        found = read_by_network(scene, taken, rng, seed if view == 0 else None)
        if found is not None:
            truth = seen_by(figure.body, taken.camera)
            rows.append({"seed": np.array(seed), "view": np.array(view), **said(found), **true_of(truth)})
    return rows


def read_by_network(scene: Scene, taken: Shot, rng: np.random.Generator, seed: int | None) -> Person | None:
    """Photo and person steps on the JPEG of one shot; None where nobody is found. seed: whose own photo it is."""
    setting, lens, coder = (stream(seed, s) if seed is not None else rng for s in ("background", "camera", "jpeg"))
    picture = photographed(scene, taken.camera)
    image = behind(choose(setting, KINDS), taken.camera, scene.occluders, scene.lights.keys[0], setting)
    upload = Upload(jpeg(developed(composed(picture.linear, image), lens), coder))
    try:
        found = through(upload, (photo, read_person))["person"]
    except UserError:
        return None
    assert isinstance(found, Person)
    return found


def said(found: Person) -> Row:
    """The network's part of a row: its points, and what it sees."""
    assert found.seen is not None
    return {"landmarks": found.landmarks, "world": found.world, "features": found.seen}


def true_of(truth: Body) -> Row:
    """The truth's part of a row: points (33 + J, 3) m in the camera frame, K, size of the picture, pitch."""
    operator = points_operator()
    rest = operator.rest(truth["phenotypes"], truth.arrays.get("local_changes"), None, truth["length_scales"])
    at = np.asarray(operator.pose(rest, truth["rotations"], truth["root_translation"]), np.float32)
    up = np.asarray(truth["world_from_camera"], np.float64)[1, :3]
    return {"points": at, "K": np.asarray(truth["K"], np.float32), "size": np.asarray(truth["image_size"]),
            "pitch": np.array(np.arctan2(-up[2], -up[1]), np.float32)}  # fmt: skip


def pose_rows(seed: int) -> list[Row]:
    """One person's pose without clothes or camera: points (33 + J, 3) m, x left, y down, z backwards."""
    who = person(seed)
    rest = rest_body(who.phenotypes, who.local, who.expression)
    halves = hip_halves(rest.vertices.numpy() * FLIP)
    taken = pose(seed, rest, pack_place(), "train", halves)
    operator = points_operator()
    at_rest = operator.rest(who.phenotypes, who.local, None, np.zeros(len(whole_mesh().rig.length_names)))
    points = np.asarray(operator.pose(at_rest, to_rig(taken.rotations), np.zeros(3)), np.float32)
    return [{"seed": np.array(seed), "points": points}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("photos", "poses"))
    parser.add_argument("--seeds", default="0:8000", metavar="A:B")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    low, high = (int(part) for part in args.seeds.split(":"))
    if not TRAIN.start <= low < high <= TRAIN.stop:
        parser.error(f"--seeds came as {args.seeds}; training people have the seeds 0 to {TRAIN.stop - 1}.")
    args.out.mkdir(parents=True, exist_ok=True)
    make = photo_rows if args.what == "photos" else pose_rows
    for first in range(low, high, PER_FILE):
        place = args.out / f"{args.what}-{first:04d}.npz"
        if place.exists():
            continue
        rows = [row for seed in range(first, min(first + PER_FILE, high)) for row in make(seed)]
        part = place.with_suffix(".part.npz")
        np.savez_compressed(part, **{name: np.stack([row[name] for row in rows]) for name in rows[0]})
        part.rename(place)
        print(place.name, len(rows), flush=True)


if __name__ == "__main__":
    main()
