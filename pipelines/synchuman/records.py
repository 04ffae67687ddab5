"""The records of the system `synchuman`: framed photo, joint sample, ten pictures, voxels, latents, bare surfaces.

Frame of everything here: the cube -0.5 .. 0.5, z up, the person faces -y, so +x is the person's left; one unit is the
side of the canvas. `display.place` says where the cube stands in the display frame. Facts of every record hold
`preset` and, for networks of made-up numbers, `stand_in: true`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.records import Record, expect, read_arrays, read_json, write_arrays, write_json

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

VIEWS = 5  # front, the person's left ("right"), back, the person's right ("left"), face
VIEW_NAMES = ("front", "right", "back", "left", "face")
MIRRORED = (2, 3)  # back and left are stored left-right flipped: opposite views cover one another


@dataclass(frozen=True)
class Framed(Record):
    """The photo as the networks see it.

    canvas (S, S, 4): the person from border to border, straight alpha. face (S, S, 4): the fixed face box of the
    canvas, enlarged. tokens (T, T, 3): the person on black with a fifth of margin, for the image tokens.
    square (3,): left, top and side in px of the photo of the square that the canvas shows. facts: cut (the person
    touches the photo's lower border), head_in_box (None when no head was seen), followed.
    """

    kind: ClassVar[str] = "synchuman_frame"
    canvas: Bytes
    face: Bytes
    tokens: Bytes
    square: NDArray[np.float64]
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect("Framed.canvas", self.canvas, (len(self.canvas), len(self.canvas), 4))
        expect("Framed.face", self.face, self.canvas.shape)
        expect("Framed.tokens", self.tokens, (None, None, 3))
        expect("Framed.square", self.square, (3,))

    def save(self, folder: Path) -> None:
        for name in ("canvas", "face", "tokens"):
            _write_bytes(folder / f"{name}.png", getattr(self, name))
        write_json(folder / "frame.json", {"square": self.square.tolist(), "facts": self.facts})

    @classmethod
    def load(cls, folder: Path) -> Framed:
        data = read_json(folder / "frame.json")
        canvas, face, tokens = (_read_bytes(folder / f"{name}.png") for name in ("canvas", "face", "tokens"))
        return cls(canvas, face, tokens, np.array(data["square"], np.float64), data["facts"])


@dataclass(frozen=True)
class JointSample(Record):
    """What the joint network drew, and its estimates of the end on the way there.

    latents (10, 4, L, L) and grid (1, 8, V, V, V): the finished state, items are five views of normals, then five of
    colours. strip_steps (K,), strip_times (K,) 1..0: the steps whose estimates were kept; strip_latents
    (K, 10, 4, L, L) and strip_grids (K, 8, V, V, V), float16. previews (K, 2 L, 5 L, 3): the estimates as pictures,
    normals above colours, by a linear map from latents to colours.
    """

    kind: ClassVar[str] = "synchuman_joint"
    latents: Floats
    grid: Floats
    strip_steps: Ints
    strip_times: NDArray[np.float64]
    strip_latents: NDArray[np.float16]
    strip_grids: NDArray[np.float16]
    previews: Bytes
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept, side = len(self.strip_steps), self.latents.shape[-1]
        expect("JointSample.latents", self.latents, (2 * VIEWS, 4, side, side))
        expect("JointSample.grid", self.grid, (1, *self.grid.shape[1:]))
        expect("JointSample.strip_times", self.strip_times, (kept,))
        expect("JointSample.strip_latents", self.strip_latents, (kept, *self.latents.shape))
        expect("JointSample.strip_grids", self.strip_grids, (kept, *self.grid.shape[1:]))
        expect("JointSample.previews", self.previews, (kept, 2 * side, VIEWS * side, 3))

    def save(self, folder: Path) -> None:
        write_arrays(folder / "latents.npz", {"latents": self.latents, "grid": self.grid})
        names = ("strip_steps", "strip_times", "strip_latents", "strip_grids")
        write_arrays(folder / "strip.npz", {name: getattr(self, name) for name in names})
        for step, picture in zip(self.strip_steps, self.previews, strict=True):
            _write_bytes(folder / f"estimate_{step:03d}.png", picture)
        write_json(folder / "joint.json", self.facts)

    @classmethod
    def load(cls, folder: Path) -> JointSample:
        strip = read_arrays(folder / "strip.npz")
        previews = np.stack([_read_bytes(folder / f"estimate_{step:03d}.png") for step in strip["strip_steps"]])
        values: dict[str, Any] = {**read_arrays(folder / "latents.npz"), **strip, "previews": previews}
        return cls(**values, facts=read_json(folder / "joint.json"))


@dataclass(frozen=True)
class TenPictures(Record):
    """Five colour pictures and five normal maps, (5, S, S, 3) each, on white: front, right, back, left, face.

    As the second stage reads them: back and left are stored mirrored, normals are in the front camera's frame
    (x right, y up, z towards it) in every view, (n + 1) / 2. The files have the released names, so that the folder
    can also be opened with the system `views`.
    """

    kind: ClassVar[str] = "synchuman_pictures"
    colours: Bytes
    normals: Bytes
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        side = self.colours.shape[1]
        expect("TenPictures.colours", self.colours, (VIEWS, side, side, 3))
        expect("TenPictures.normals", self.normals, self.colours.shape)

    def save(self, folder: Path) -> None:
        for i in range(VIEWS):
            _write_bytes(folder / f"color_{i}.png", self.colours[i])
            _write_bytes(folder / f"normal_{i}.png", self.normals[i])
        write_json(folder / "pictures.json", self.facts)

    @classmethod
    def load(cls, folder: Path) -> TenPictures:
        colours, normals = (
            np.stack([_read_bytes(folder / f"{name}_{i}.png") for i in range(VIEWS)]) for name in ("color", "normal")
        )
        return cls(colours, normals, read_json(folder / "pictures.json"))


@dataclass(frozen=True)
class VoxelSet(Record):
    """The filled voxels of the cube. coords (N, 3) 0 .. side - 1, axes x, y, z, in lexicographic order.

    logits (N,): how sure the decoder is of each, above 0. growth (K, 2): after which step an estimate of the joint
    step was kept, and how many voxels it filled; estimates (K, side^3 / 8): which, as bits (`pack`). facts: count,
    overlap of the voxels' outlines with the pictures' (`front`, `side`, 0..1).
    """

    kind: ClassVar[str] = "synchuman_voxels"
    coords: Ints
    side: int
    logits: NDArray[np.float16]
    growth: Ints
    estimates: Bytes
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect("VoxelSet.coords", self.coords, (None, 3))
        expect("VoxelSet.logits", self.logits, (len(self.coords),))
        expect("VoxelSet.growth", self.growth, (None, 2))
        expect("VoxelSet.estimates", self.estimates, (len(self.growth), -(-(self.side**3) // 8)))

    @staticmethod
    def pack(filled: NDArray[np.bool_]) -> Bytes:
        """(side, side, side) -> one row of `estimates`."""
        return np.packbits(filled.reshape(-1))

    def estimate(self, k: int) -> Ints:
        """(M, 3) coordinates that the k-th kept estimate filled, in lexicographic order; inverse of `pack`."""
        bits = np.unpackbits(self.estimates[k], count=self.side**3).reshape((self.side,) * 3)
        return np.argwhere(bits).astype(np.int32)

    def save(self, folder: Path) -> None:
        names = ("coords", "side", "logits", "growth", "estimates")
        write_arrays(folder / "voxels.npz", {name: getattr(self, name) for name in names})
        write_json(folder / "voxels.json", self.facts)

    @classmethod
    def load(cls, folder: Path) -> VoxelSet:
        a = read_arrays(folder / "voxels.npz")
        names = ("coords", "logits", "growth", "estimates")
        return cls(side=int(a["side"]), **{name: a[name] for name in names}, facts=read_json(folder / "voxels.json"))


@dataclass(frozen=True)
class SlatSample(Record):
    """The structured latents: eight numbers for every voxel, in the decoders' scale.

    latents (N, 8): rows as in the voxels. strip_steps (K,), strip_times (K,), strip (K, N, 8) float16: the sampler's
    estimates of the end, in the same scale.
    """

    kind: ClassVar[str] = "synchuman_slat"
    latents: Floats
    strip_steps: Ints
    strip_times: NDArray[np.float64]
    strip: NDArray[np.float16]
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect("SlatSample.latents", self.latents, (None, None))
        expect("SlatSample.strip", self.strip, (len(self.strip_steps), *self.latents.shape))

    def save(self, folder: Path) -> None:
        names = ("latents", "strip_steps", "strip_times", "strip")
        write_arrays(folder / "slat.npz", {name: getattr(self, name) for name in names})
        write_json(folder / "slat.json", self.facts)

    @classmethod
    def load(cls, folder: Path) -> SlatSample:
        values: dict[str, Any] = read_arrays(folder / "slat.npz")
        return cls(**values, facts=read_json(folder / "slat.json"))


@dataclass(frozen=True)
class RawSurface(Record):
    """The surface as decoded.

    vertices (V, 3) in the cube; faces (F, 3), counter-clockwise from outside; attributes (V, 6 or 0) 0..1: three of
    colour, three of the normal. injected (2, 4, M, M, 3): what the decoder was given of the four whole pictures, of
    their colours and of their normals, as colours along its principal axes (`injected_colours`); mirrored as the
    pictures are. facts: injected_explained, the share of its variance that three axes hold, of both.
    """

    kind: ClassVar[str] = "synchuman_surface"
    vertices: Floats
    faces: Ints
    attributes: Floats
    injected: Bytes
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect("RawSurface.vertices", self.vertices, (None, 3))
        expect("RawSurface.faces", self.faces, (None, 3))
        expect("RawSurface.attributes", self.attributes, (len(self.vertices), None))
        expect("RawSurface.injected", self.injected, (2, VIEWS - 1, None, None, 3))

    def save(self, folder: Path) -> None:
        names = ("vertices", "faces", "attributes", "injected")
        write_arrays(folder / "surface.npz", {name: getattr(self, name) for name in names})
        write_json(folder / "surface.json", self.facts)

    @classmethod
    def load(cls, folder: Path) -> RawSurface:
        values: dict[str, Any] = read_arrays(folder / "surface.npz")
        return cls(**values, facts=read_json(folder / "surface.json"))


@dataclass(frozen=True)
class CleanedSurface(Record):
    """The surface after decimation, removal of hidden walls and closing of holes.

    vertices (V, 3) in the cube, faces (F, 3). light_vertices, light_faces (F', 3): the decimated mesh on which it was
    decided; visibility (F',): share of the views from all around that see each of its faces; removed (R,): which of
    them went. facts: open_loops, the winning settings, the cut's length.
    """

    kind: ClassVar[str] = "synchuman_clean"
    vertices: Floats
    faces: Ints
    light_vertices: Floats
    light_faces: Ints
    visibility: Floats
    removed: Ints
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect("CleanedSurface.vertices", self.vertices, (None, 3))
        expect("CleanedSurface.faces", self.faces, (None, 3))
        expect("CleanedSurface.visibility", self.visibility, (len(self.light_faces),))

    def save(self, folder: Path) -> None:
        names = ("vertices", "faces", "light_vertices", "light_faces", "visibility", "removed")
        write_arrays(folder / "clean.npz", {name: getattr(self, name) for name in names})
        write_json(folder / "clean.json", self.facts)

    @classmethod
    def load(cls, folder: Path) -> CleanedSurface:
        values: dict[str, Any] = read_arrays(folder / "clean.npz")
        return cls(**values, facts=read_json(folder / "clean.json"))


def _write_bytes(path: Path, image: Bytes) -> None:
    """(H, W, 3 or 4) uint8 -> PNG, value for value."""
    Image.fromarray(np.ascontiguousarray(image)).save(path, compress_level=3)


def _read_bytes(path: Path) -> Bytes:
    """The inverse of `_write_bytes`."""
    with Image.open(path) as image:
        return np.asarray(image).copy()
