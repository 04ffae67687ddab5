"""Teach the lift of `pipelines.body.fit_lift`: joints in depth from what the landmark network says.

    python -m training.body_lift --photos FOLDER --poses FOLDER --out assets/body/lift.npz [--steps 3000]

Rows come from `training.body_lift_rows`. Of real rows there are few; so poses are seen from new sides, projected, and
given the errors (2D and 3D) that the network made on one of the ten most similar real rows. Everything is mirrored,
rolled, shaken and leant: on photos the network leans otherwise than on renderings. A quarter of the drawn rows carry
small errors only, as landmarks corrected by hand do. The loss is a Student likelihood, so every coordinate learns its
spread.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.body.fit_lift import POINTS, SCHEMA, features, spread_of
from pipelines.body.joints import MEDIAPIPE_NAMES
from pipelines.body.lift_points import mirrored
from pipelines.body.rig import default_rig

Array = NDArray[np.float64]
Rows = dict[str, Array]
Found = tuple[Tensor, Tensor, Tensor, Tensor]
ASSUMED_FOV = np.radians(40.0)  # of the fit; the true lens is not known to it
OUTPUTS = 3 * len(POINTS)
_BONE = {"waist": "spine04", "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot", "neck": "neck01",
         "head": "head", "shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist"}  # fmt: skip
_LANDMARK = {"toe": "foot_index", "little": "pinky"}


def columns() -> NDArray[np.int64]:
    """(26,) places of `POINTS` among the rows' points (33 landmarks, then bone heads)."""
    rig, found = default_rig(), []
    for name in POINTS:
        part = name.removeprefix("left_").removeprefix("right_")
        stem, tail = part.removesuffix("_joint"), ".L" if "left_" in name else ".R" if "right_" in name else ""
        if name.endswith("_joint"):
            found.append(33 + rig.bone(_BONE[stem] + tail))
        else:
            known = _LANDMARK.get(stem, stem)
            prefix = "" if not tail else "left_" if tail == ".L" else "right_"
            found.append(MEDIAPIPE_NAMES.index(prefix + known))
    return np.array(found)


def read(folder: Path) -> Rows:
    """All files of a folder in one, floats as float64."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise SystemExit(f"{folder} holds no .npz; write some with training.body_lift_rows.")
    parts = [dict(np.load(f, allow_pickle=False)) for f in files]
    return {k: np.concatenate([p[k] for p in parts]).astype(np.float64) for k in parts[0]}


def real_rows(folder: Path) -> Rows:
    """px from the principal point, world, seen, joints, landmarks (true, m), focal (true), assumed (focal), pitch;
    every row and its mirror image."""
    r = read(folder)
    o = {"px": r["landmarks"][..., :2] - r["K"][:, None, :2, 2], "world": r["world"], "seen": r["landmarks"][..., 3:5],
         "joints": r["points"][:, columns()], "true": r["points"][:, :33], "focal": r["K"][:, 0, 0],
         "assumed": r["size"].max(1) / 2 / np.tan(ASSUMED_FOV / 2), "pitch": r["pitch"]}  # fmt: skip
    m = {k: v.copy() for k, v in o.items()}
    landmarks, joints = mirrored(MEDIAPIPE_NAMES), mirrored(POINTS)
    for name, order in (("px", landmarks), ("world", landmarks), ("true", landmarks), ("joints", joints)):
        m[name][..., 0] *= -1
        m[name] = m[name][:, order]
    m["seen"] = m["seen"][:, landmarks]
    return {k: np.concatenate([o[k], m[k]]) for k in o}


def turns(axis: int, angle: Array) -> Array:
    """(n,) radians -> (n, 3, 3) rotations about x, y or z."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    out = np.tile(np.eye(3), (len(angle), 1, 1))
    out[:, a, a] = out[:, b, b] = np.cos(angle)
    out[:, b, a], out[:, a, b] = np.sin(angle), -np.sin(angle)
    return out


def turned(points: Array, by: Array) -> Array:
    return np.einsum("nij,nkj->nki", by, points)


def seen_from_anywhere(rng: np.random.Generator, poses: Rows, n: int) -> Rows:
    """n random cameras on random poses, as `training.people.views.shot` places them; px for a half side of 1000."""
    at = poses["points"][rng.integers(len(poses["points"]), size=n)]
    kind = rng.random(n)
    wide = np.where(kind < 0.75, rng.uniform(-80, 80, n), rng.uniform(-180, 180, n))
    azimuth = np.radians(np.where(kind < 0.45, rng.normal(0, 22, n), wide))
    focal = 1000 / np.tan(np.radians(np.clip(rng.normal(44, 11, n), 25, 65)) / 2)
    low, high = at[..., 1].max(1), at[..., 1].min(1)
    fill = rng.uniform(0.6, 1.0, n) * np.where(rng.random(n) < 0.1, 1.2, 1) * rng.choice([1, 1, 1, 0.75], size=n)
    distance = focal * (low - high) * 1.08 / (2000 * fill)
    stand = np.clip(rng.normal(1.35, 0.22, n), 0.75, 1.75)
    rise = np.clip(np.arctan2(stand - (low - high) / 2, distance), np.radians(-18), np.radians(22))
    middle = np.stack([at[..., 0].mean(1), (low + high) / 2, at[..., 2].mean(1)], -1)
    roll = np.radians(np.clip(rng.normal(0, 0.8, n), -2.5, 2.5))
    at = turned(at - middle[:, None], turns(2, roll) @ turns(0, rise) @ turns(1, azimuth))
    at = (
        at
        + np.stack([rng.normal(0, 0.05, n), rng.normal(0, 0.04, n), np.ones(n)], -1)[:, None] * distance[:, None, None]
    )
    px = at[:, :33, :2] / at[:, :33, 2:] * focal[:, None, None]
    assumed = np.full(n, 1000 / np.tan(ASSUMED_FOV / 2))
    return {"px": px, "joints": at[:, columns()], "true": at[:, :33], "focal": focal, "assumed": assumed, "pitch": rise}


def normalised(points: Array) -> tuple[Array, Array]:
    """3D landmarks about mid-hip in units of their spread in the picture's plane, and that spread."""
    deep = points - points[:, [23, 24]].mean(1, keepdims=True)
    size = spread_of(deep[..., :2])
    return deep / size[:, None, None], size


class Batches:
    """Random batches of (features, points, log size and pitch)."""

    def __init__(self, real: Rows, poses: Rows, views: int, share: float) -> None:
        self.rng, self.real, self.share = np.random.default_rng(0), real, share
        self.drawn = seen_from_anywhere(self.rng, poses, views)
        exact = real["true"][..., :2] / real["true"][..., 2:] * real["focal"][:, None, None]
        self.flat_error = (real["px"] - exact) / spread_of(exact)[:, None, None]
        true, _ = normalised(real["true"])
        said, self.said_size = normalised(real["world"])
        self.deep_error = said - true
        self.deep, _ = normalised(self.drawn["true"])
        a, b = (torch.as_tensor(x.reshape(len(x), -1), dtype=torch.float32) for x in (self.deep, true))
        self.similar = torch.cdist(a, b).topk(min(10, len(true)), largest=False).indices.numpy()

    def drawn_rows(self, n: int) -> tuple[Rows, NDArray[np.bool_]]:
        """n views with errors of similar real rows, and which of them are nearly exact."""
        rng, d = self.rng, self.drawn
        i = rng.integers(len(self.deep), size=n)
        j = self.similar[i, rng.integers(self.similar.shape[1], size=n)]
        exact = rng.random(n) < 0.25
        amount = (rng.uniform(0.6, 1.2, n) * np.where(exact, 0.3, 1.0))[:, None, None]
        rows = {k: v[i] for k, v in d.items()}
        rows["px"] = rows["px"] + self.flat_error[j] * amount * spread_of(rows["px"])[:, None, None]
        rows["world"] = (self.deep[i] + self.deep_error[j] * amount) * self.said_size[j][:, None, None]
        rows["seen"] = np.where(exact[:, None, None], 1.0, self.real["seen"][j])
        return rows, exact

    def __call__(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        rng, k = self.rng, int(n * self.share)
        first, exact = self.drawn_rows(k)
        second = self.rng.integers(len(self.real["px"]), size=n - k)
        r = {name: np.concatenate([first[name], self.real[name][second]]) for name in self.real}
        lean = np.radians(rng.normal(2, 4, n)) * (rng.random(n) < 0.7)
        lean[:k] = np.where(exact, np.radians(rng.normal(9, 6, k)), lean[:k])
        roll = turns(2, np.radians(rng.normal(0, 4, n)))
        world = turned(r["world"], roll @ turns(0, lean))
        joints, px = turned(r["joints"], roll), turned(r["px"], roll[:, :2, :2])
        px = px + rng.normal(0, 0.012, px.shape) * spread_of(px)[:, None, None]
        world = world * np.exp(rng.normal(0, 0.05, (n, 1, 1))) + rng.normal(0, 0.015, world.shape)
        x, spread = features(px, world, r["seen"], r["assumed"])
        x[:, -3:-1] += rng.normal(0, 0.05, (n, 2))
        hips = joints[:, 1:3].mean(1, keepdims=True)
        size = spread * hips[:, 0, 2] / r["focal"]
        points = ((joints - hips) / size[:, None, None]).reshape(n, -1)
        whole = np.stack([np.log(size), r["pitch"]], 1)
        return tuple(torch.as_tensor(v, dtype=torch.float32) for v in (x, points, whole))  # type: ignore[return-value]


class LiftNetwork(nn.Module):
    """`fit_lift.answer` with dropout, to be taught."""

    def __init__(self, inputs: int, hidden: int, points: Tensor, whole: Tensor) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.last, self.straight = nn.Linear(hidden, 2 * OUTPUTS + 4), nn.Linear(inputs, OUTPUTS, bias=False)
        self.drop = nn.Dropout(0.1)
        with torch.no_grad():
            self.straight.weight.zero_()
            self.last.weight.mul_(0.1)
            self.last.bias.fill_(-1.5)
            self.last.bias[:OUTPUTS], self.last.bias[2 * OUTPUTS : 2 * OUTPUTS + 2] = points, whole

    def forward(self, x: Tensor) -> Found:
        return self.parted(x, self.landmark_path(x))

    def landmark_path(self, x: Tensor) -> Tensor:
        """What the hidden layers say of scaled features."""
        h = torch.relu(self.first(x))
        h = h + torch.relu(self.second(self.drop(h)))
        return self.last(self.drop(h))

    def parted(self, x: Tensor, z: Tensor) -> Found:
        """Points, logarithm of their sigma, log size and pitch, logarithm of their sigma."""
        middle, end = 2 * OUTPUTS, 2 * OUTPUTS + 2
        return (z[:, :OUTPUTS] + self.straight(x), z[:, OUTPUTS:middle].clamp(-5, 1), z[:, middle:end],
                z[:, end:].clamp(-5, 1))  # fmt: skip

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """What the file holds, in the names that the pipeline reads."""
        state = self.state_dict()
        return {n.replace(".weight", "").replace(".bias", "_bias"): v.numpy() for n, v in state.items()}


def likelihood(found: Tensor, wanted: Tensor, log_sigma: Tensor) -> Tensor:
    """Student's, four degrees of freedom: outliers (limbs on the wrong side) do not rule."""
    return (2.5 * torch.log1p(((found - wanted) * torch.exp(-log_sigma)) ** 2 / 4) + log_sigma).mean()


def loss_of(answer: Found, points: Tensor, whole: Tensor) -> Tensor:
    """How badly an answer fits points (n, 78) and whole (n, 2)."""
    found, log_sigma, found_whole, whole_sigma = answer
    loss = likelihood(found, points, log_sigma) + 0.3 * likelihood(found_whole, whole, whole_sigma)
    return loss + 0.5 * nn.functional.smooth_l1_loss(found, points, beta=0.1)


class Descent:
    """AdamW whose rate falls to nothing along a cosine."""

    def __init__(self, network: nn.Module, rate: float, decay: float, steps: int) -> None:
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, steps)

    def __call__(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--poses", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--views", type=int, default=60000)
    parser.add_argument("--hidden", type=int, default=144)
    args = parser.parse_args()
    torch.manual_seed(0)
    batches = Batches(real_rows(args.photos), read(args.poses), args.views, 0.65)
    x, points, whole = batches(4000)
    mean, scale = x.mean(0), x.std(0, correction=0) + 0.05
    network = LiftNetwork(x.shape[1], args.hidden, points.mean(0), whole.mean(0))
    descend = Descent(network, 2e-3, 1e-2, args.steps)
    for step in range(args.steps):
        x, points, whole = batches(256)
        loss = loss_of(network((x - mean) / scale), points, whole)
        descend(loss)
        if (step + 1) % 300 == 0:
            print(f"{step + 1} steps, loss {float(loss.detach()):.3f}", flush=True)
    np.savez_compressed(args.out, schema=np.array(SCHEMA), mean=mean.numpy(), scale=scale.numpy(),
                        **{n: v.astype(np.float16) for n, v in network.arrays().items()})  # fmt: skip


if __name__ == "__main__":
    main()
