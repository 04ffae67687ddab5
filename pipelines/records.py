"""The typed artefacts that steps hand to one another, and how each lies in a folder of open files.

A record is a frozen dataclass. `save(folder)` writes ordinary files (PNG, NPZ without pickle, JSON) and
`load(folder)` reads them back; a record that was loaded and saved again gives the same bytes. A step always works
on loaded records, so that a fresh run and a resumed one see the same numbers.

Frames: `Body` is in the OpenCV frame of the photo's camera; `Splats` and `Mesh` are in the display frame
(y up, ground at y = 0, person facing +z). `Body.camera` joins the two.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.geometry.cameras import Camera

Floats = NDArray[np.float32]
R = TypeVar("R", bound="Record")

RECORDS: dict[str, type[Record]] = {}

# How a splat or vertex came about (attribute `seen` of Splats and Mesh).
SEEN, GRAZING, GENERATED = 0, 1, 2
SEEN_NAMES = ("seen", "grazing", "generated")
# Which rule made a splat (attribute `origin` of Splats); later systems append their own.
ORIGIN_NAMES = ("front", "back", "wall", "body", "network", "imported")


class Record:
    """Base of all artefacts. Subclasses are frozen dataclasses with a `kind` and two methods."""

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        RECORDS[cls.kind] = cls

    def save(self, folder: Path) -> None:
        """Write this record's files into an existing, empty folder."""
        raise TypeError(f"{type(self).__name__} does not say how it is saved.")

    @classmethod
    def load(cls: type[R], folder: Path) -> R:
        """Read the record from its folder; ValueError with a sentence when the files do not fit."""
        raise TypeError(f"{cls.__name__} does not say how it is loaded.")


def write_image(path: Path, image: NDArray[np.floating]) -> None:
    """(H, W), (H, W, 3) or (H, W, 4) floats 0..1 -> 8-bit PNG; colours under alpha 0 are kept.

    With the filter given: to look for each row's best takes three times as long for 5 % less, and someone waits.
    """
    # A declaration must load without it.
    import cv2

    pixels = to_bytes(image)
    if pixels.ndim == 3:
        order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
        pixels = np.asarray(cv2.cvtColor(pixels, order), np.uint8)
    _, coded = cv2.imencode(
        ".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB]
    )
    path.write_bytes(coded.tobytes())


def to_bytes(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Floats 0..1 -> uint8, rounded to nearest."""
    return np.clip(np.asarray(image, np.float32) * 255.0 + 0.5, 0, 255).astype(np.uint8)


def on_white(rgba: Floats) -> Floats:
    """(H, W, 4) straight alpha -> (H, W, 3) on white paper."""
    return rgba[..., :3] * rgba[..., 3:] + 1.0 - rgba[..., 3:]


def read_image(path: Path) -> Floats:
    """8-bit image file -> floats 0..1 with its own number of channels."""
    with Image.open(path) as image:
        return np.asarray(image).astype(np.float32) / 255.0


def write_arrays(path: Path, arrays: dict[str, Any], compress: bool = False) -> None:
    """Named arrays -> NPZ; the bytes depend on the values alone. Text arrays are stored as unicode, never pickled.

    compress: deflate at its quickest, for maps that are mostly empty; someone waits for it between two steps, and the
    best of deflate takes twice the time for 6 % less.
    """
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    # Entries opened by name bear the fixed date of 1980: equal arrays give equal bytes.
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for name, value in arrays.items():
            array = np.asarray(value)
            if array.dtype == object:
                raise ValueError(f"Array '{name}' holds Python objects; only numbers and text can be stored.")
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def read_arrays(path: Path) -> dict[str, NDArray]:
    """NPZ -> named arrays; pickled content is refused."""
    with np.load(path, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def write_json(path: Path, data: Any) -> None:
    """JSON with sorted keys and one final newline."""
    path.write_text(json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The inverse of `write_json`."""
    return json.loads(path.read_text())


def expect(name: str, array: NDArray, shape: tuple[int | None, ...]) -> None:
    """ValueError unless `array` has `shape` (None = any length)."""
    fits = array.ndim == len(shape) and all(n is None or n == m for n, m in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise ValueError(f"{name} came with shape {array.shape}; it needs {wanted}.")


@dataclass(frozen=True)
class Upload(Record):
    """The bytes as they were dropped. Never kept in the store: it may hold a place (GPS) and a name."""

    kind: ClassVar[str] = "upload"
    data: bytes
    name: str = "photo"

    def save(self, folder: Path) -> None:
        (folder / "upload.bin").write_bytes(self.data)

    @classmethod
    def load(cls, folder: Path) -> Upload:
        return cls((folder / "upload.bin").read_bytes())


@dataclass(frozen=True)
class Photo(Record):
    """An upright photo.

    rgb: (H, W, 3) 0..1 sRGB. alpha: (H, W) 0..1 straight, or None when the file had none.
    facts: what was done to it (original size, rotation, format).
    """

    kind: ClassVar[str] = "photo"
    rgb: Floats
    alpha: Floats | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect("Photo.rgb", self.rgb, (None, None, 3))
        if self.alpha is not None:
            expect("Photo.alpha", self.alpha, self.rgb.shape[:2])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]

    def save(self, folder: Path) -> None:
        image = self.rgb if self.alpha is None else np.dstack([self.rgb, self.alpha])
        write_image(folder / "photo.png", image)
        write_json(folder / "photo.json", self.facts)

    @classmethod
    def load(cls, folder: Path) -> Photo:
        image = read_image(folder / "photo.png")
        alpha = image[..., 3] if image.shape[2] == 4 else None
        return cls(image[..., :3], alpha, read_json(folder / "photo.json"))


@dataclass(frozen=True)
class Person(Record):
    """Who is in the picture, and what the pose network read on the chosen one.

    boxes: (P, 4) left, top, right, bottom px of everybody found, largest first. scores: (P,) 0..1. chosen: index.
    square: (4,) centre x, centre y, side px, rotation in radians of the network's square.
    landmarks: (33, 5) x px, y px, z px-scale, visibility 0..1, presence 0..1. world: (33, 3) metres, x right, y down,
    z forward, origin mid-hip. mask: (256, 256) probability on the square. mask_affine: (2, 3) photo px -> mask px.
    network: name and weight hash. seen: (2, 1152) what the network sees in the square and in its mirror
    image, or None where another network gave the landmarks.
    """

    kind: ClassVar[str] = "person"
    boxes: Floats
    scores: Floats
    chosen: int
    square: Floats
    landmarks: Floats
    world: Floats
    mask: Floats
    mask_affine: Floats
    network: str
    seen: Floats | None = None

    def __post_init__(self) -> None:
        expect("Person.boxes", self.boxes, (None, 4))
        expect("Person.landmarks", self.landmarks, (33, 5))
        expect("Person.world", self.world, (33, 3))

    def save(self, folder: Path) -> None:
        arrays = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        write_arrays(folder / "person.npz", arrays)

    @classmethod
    def load(cls, folder: Path) -> Person:
        a = read_arrays(folder / "person.npz")
        values: dict[str, Any] = {**a, "chosen": int(a["chosen"]), "network": str(a["network"])}
        return cls(**values)


@dataclass(frozen=True)
class Cutout(Record):
    """The person cut out. rgba: (H, W, 4) 0..1, straight alpha; colours are the person's own also at the rim and
    beyond it (no background bleeds in). facts: source ('alpha', 'network', 'hand'), coverage, touching borders."""

    kind: ClassVar[str] = "cutout"
    rgba: Floats
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect("Cutout.rgba", self.rgba, (None, None, 4))

    @property
    def rgb(self) -> Floats:
        """(H, W, 3)."""
        return self.rgba[..., :3]

    @property
    def alpha(self) -> Floats:
        """(H, W)."""
        return self.rgba[..., 3]

    def save(self, folder: Path) -> None:
        write_image(folder / "cutout.png", self.rgba)
        write_json(folder / "cutout.json", self.facts)

    @classmethod
    def load(cls, folder: Path) -> Cutout:
        return cls(read_image(folder / "cutout.png"), read_json(folder / "cutout.json"))


@dataclass(frozen=True)
class Keypoints(Record):
    """Landmarks of the person, as one editable JSON file.

    body: (33, 4) x px, y px, visibility, presence (MediaPipe order, left = the person's left). world: (33, 3) metres,
    camera axes, origin mid-hip. edited: (33,) bool, moved by hand. left_hand, right_hand: (21, 2) px and
    left_hand_world, right_hand_world: (21, 3) metres, or None. face: (468, 3) px, or None. network: text.
    seen: (2, 1152) as in `Person`, or None.
    """

    kind: ClassVar[str] = "keypoints"
    body: Floats
    world: Floats
    edited: NDArray[np.bool_]
    left_hand: Floats | None = None
    left_hand_world: Floats | None = None
    right_hand: Floats | None = None
    right_hand_world: Floats | None = None
    face: Floats | None = None
    network: str = ""
    seen: Floats | None = None

    def __post_init__(self) -> None:
        expect("Keypoints.body", self.body, (33, 4))
        expect("Keypoints.world", self.world, (33, 3))
        expect("Keypoints.edited", self.edited, (33,))
        for name, shape in (("left_hand", (21, 2)), ("right_hand", (21, 2)), ("face", (468, 3)), ("seen", (2, 1152))):
            value = getattr(self, name)
            if value is not None:
                expect(f"Keypoints.{name}", value, shape)

    def save(self, folder: Path) -> None:
        def plain(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            return value.tolist() if value.dtype == bool else np.round(value.astype(np.float64), 4).tolist()

        data = {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        write_json(folder / "keypoints.json", data)

    @classmethod
    def load(cls, folder: Path) -> Keypoints:
        return cls.from_json(read_json(folder / "keypoints.json"))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Keypoints:
        """A keypoints.json, from the store or written by hand."""
        unknown = set(data) - {f.name for f in dataclasses.fields(cls)}
        if unknown or "body" not in data or "world" not in data:
            raise ValueError(f"keypoints.json needs 'body' and 'world'; unknown here: {sorted(unknown) or 'nothing'}.")
        values: dict[str, Any] = {"edited": [False] * 33, **data}
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = np.array(value, bool if name == "edited" else np.float32)
                if name != "edited" and not np.isfinite(values[name]).all():
                    raise ValueError(f"keypoints.json holds a number that is not finite in '{name}'.")
        return cls(**values)


@dataclass(frozen=True)
class Curve(Record):
    """Numbers that change over iterations. names: (T,) text. values: (I, T)."""

    kind: ClassVar[str] = "curve"
    names: tuple[str, ...]
    values: Floats

    def save(self, folder: Path) -> None:
        write_arrays(folder / "curve.npz", {"names": np.array(self.names, dtype="U"), "values": self.values})

    @classmethod
    def load(cls, folder: Path) -> Curve:
        a = read_arrays(folder / "curve.npz")
        return cls(tuple(str(n) for n in a["names"]), a["values"])


@dataclass(frozen=True)
class Table(Record):
    """Named columns of numbers or text, for the page and for CSV. rows: list of dicts with equal keys."""

    kind: ClassVar[str] = "table"
    rows: tuple[dict[str, Any], ...]

    def save(self, folder: Path) -> None:
        write_json(folder / "table.json", list(self.rows))

    @classmethod
    def load(cls, folder: Path) -> Table:
        return cls(tuple(read_json(folder / "table.json")))


@dataclass(frozen=True)
class Body(Record):
    """A posed body in the OpenCV frame of the photo's camera, metres (BodyEstimate, schema humanscope.body/1).

    arrays: the fields of the schema by name: K (3, 3), image_size (2,), world_from_camera (4, 4), rotations (J, 3, 3),
    root_translation (3,), joints_cam (J, 3), joints_px (J, 2), joint_names (J,), body22_cam (22, 3),
    confidence (J,), edited (J,), phenotypes (6,), local_changes (L,), length_scales (G,), expression (E,), and the
    scalars reprojection_pct, inside_mask, lean_deg, lean_before_deg. texts: schema, source, source_version, model,
    frame, rotation_parameterisation.
    history: per iteration of the fit, arrays `terms` (I, T), `term_names` (T,), `rotations` (I, J, 3, 3),
    `root_translation` (I, 3), `phenotypes` (I, 6), `length_scales` (I, G), `local_changes` (I, L); empty for an
    imported body. Vertices are never stored; `pipelines.body.read_body` recomputes them.
    """

    kind: ClassVar[str] = "body"
    arrays: dict[str, NDArray]
    texts: dict[str, str]
    history: dict[str, NDArray] = field(default_factory=dict)

    REQUIRED: ClassVar[dict[str, tuple[int | None, ...]]] = {
        "K": (3, 3), "image_size": (2,), "world_from_camera": (4, 4), "rotations": (None, 3, 3),
        "root_translation": (3,), "joints_cam": (None, 3), "body22_cam": (22, 3),
    }  # fmt: skip

    def __post_init__(self) -> None:
        for name, shape in self.REQUIRED.items():
            if name not in self.arrays:
                raise ValueError(f"The body record lacks '{name}'; it needs {', '.join(self.REQUIRED)}.")
            expect(f"Body.{name}", self.arrays[name], shape)

    def __getitem__(self, name: str) -> NDArray:
        return self.arrays[name]

    @property
    def camera(self) -> Camera:
        """The photo's camera in the display frame."""
        width, height = (int(v) for v in self.arrays["image_size"])
        return Camera(self.arrays["K"], width, height, np.linalg.inv(self.arrays["world_from_camera"]))

    def save(self, folder: Path) -> None:
        write_arrays(folder / "body.npz", {**self.arrays, **self.texts})
        if self.history:
            write_arrays(folder / "history.npz", self.history)

    @classmethod
    def load(cls, folder: Path) -> Body:
        body = cls.from_npz(folder / "body.npz")
        history = folder / "history.npz"
        return dataclasses.replace(body, history=read_arrays(history)) if history.exists() else body

    @classmethod
    def from_npz(cls, path: Path) -> Body:
        """A body.npz, from a run folder or written by hand."""
        found = read_arrays(path)
        texts = {k: str(v) for k, v in found.items() if v.dtype.kind == "U" and v.ndim == 0}
        if texts.get("schema") != "humanscope.body/1":
            raise ValueError(f"{path.name} came with schema '{texts.get('schema')}'; it needs 'humanscope.body/1'.")
        return cls({k: v for k, v in found.items() if k not in texts}, texts)


@dataclass(frozen=True)
class BodyMaps(Record):
    """Renderings of the fitted body from the photo's camera, on a grid that covers the photo.

    All (h, w) or (h, w, C) float32 on `camera` (the photo's camera resized; world = display frame). For each of the
    sets 'full' and 'armless' (without forearms and hands): front, back = depth z of the first and last surface in
    metres (0 outside), front_normal, back_normal (3, display frame), front_part, back_part (uint8 labels, 255
    outside). arrays keys: f'{set}_{map}'.
    """

    kind: ClassVar[str] = "body_maps"
    arrays: dict[str, NDArray]
    camera: Camera

    def save(self, folder: Path) -> None:
        write_arrays(folder / "maps.npz", self.arrays, compress=True)
        write_json(folder / "camera.json", self.camera.to_json())

    @classmethod
    def load(cls, folder: Path) -> BodyMaps:
        return cls(read_arrays(folder / "maps.npz"), Camera.from_json(read_json(folder / "camera.json")))


@dataclass(frozen=True)
class Layers(Record):
    """Front and back surface of the whole person, one value per pixel of the matte.

    arrays on `camera`'s grid (h, w[, C]): mask (bool), front, back = depth z in metres, front_rgb, back_rgb 0..1,
    front_part, back_part (uint8), seen (uint8 code for the front layer: seen or grazing); of layers that a network
    corrected also front_doubt, back_doubt: the mean error that it expects of its depths, metres.
    """

    kind: ClassVar[str] = "layers"
    arrays: dict[str, NDArray]
    camera: Camera

    def save(self, folder: Path) -> None:
        write_arrays(folder / "layers.npz", self.arrays, compress=True)
        write_json(folder / "camera.json", self.camera.to_json())

    @classmethod
    def load(cls, folder: Path) -> Layers:
        return cls(read_arrays(folder / "layers.npz"), Camera.from_json(read_json(folder / "camera.json")))


@dataclass(frozen=True)
class Splats(Record):
    """A set of 3D Gaussians in the display frame.

    means (N, 3) metres; quats (N, 4) wxyz unit; scales (N, 3) standard deviations in metres, linear; opacities (N,)
    0..1; colours (N, 3) 0..1 sRGB (spherical harmonics of degree 0); seen (N,) uint8 index into SEEN_NAMES; origin
    (N,) uint8 index into ORIGIN_NAMES.
    """

    kind: ClassVar[str] = "splats"
    means: Floats
    quats: Floats
    scales: Floats
    opacities: Floats
    colours: Floats
    seen: NDArray[np.uint8]
    origin: NDArray[np.uint8]

    def __post_init__(self) -> None:
        n = len(self.means)
        for name, shape in (("means", (n, 3)), ("quats", (n, 4)), ("scales", (n, 3)), ("opacities", (n,)),
                            ("colours", (n, 3)), ("seen", (n,)), ("origin", (n,))):  # fmt: skip
            expect(f"Splats.{name}", getattr(self, name), shape)

    def __len__(self) -> int:
        return len(self.means)

    def select(self, keep: NDArray) -> Splats:
        """The splats at a boolean or index array."""
        return Splats(**{f.name: getattr(self, f.name)[keep] for f in dataclasses.fields(self)})

    def save(self, folder: Path) -> None:
        write_arrays(folder / "splats.npz", {f.name: getattr(self, f.name) for f in dataclasses.fields(self)})

    @classmethod
    def load(cls, folder: Path) -> Splats:
        return cls(**read_arrays(folder / "splats.npz"))


@dataclass(frozen=True)
class Mesh(Record):
    """A textured triangle mesh in the display frame.

    vertices (V, 3) metres; faces (F, 3) int32, counter-clockwise seen from outside; normals (V, 3) unit;
    uv (V, 2) 0..1, origin at the LOWER left of the texture (glTF flips on export); texture (T, T, 3) 0..1 sRGB;
    seen (V,) uint8. Vertices on UV seams are doubled; `weld` (V,) int32 gives the index of the first copy, so that
    the welded surface is watertight. facts: JSON data of how it was made, a loss curve for example; may be empty.
    """

    kind: ClassVar[str] = "mesh"
    vertices: Floats
    faces: NDArray[np.int32]
    normals: Floats
    uv: Floats
    texture: Floats
    seen: NDArray[np.uint8]
    weld: NDArray[np.int32]
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        v = len(self.vertices)
        for name, shape in (("vertices", (v, 3)), ("faces", (None, 3)), ("normals", (v, 3)), ("uv", (v, 2)),
                            ("texture", (None, None, 3)), ("seen", (v,)), ("weld", (v,))):  # fmt: skip
            expect(f"Mesh.{name}", getattr(self, name), shape)

    def save(self, folder: Path) -> None:
        arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("texture", "facts")}
        write_arrays(folder / "mesh.npz", arrays)
        write_image(folder / "texture.png", self.texture)
        if self.facts:
            write_json(folder / "mesh.json", self.facts)

    @classmethod
    def load(cls, folder: Path) -> Mesh:
        facts = read_json(folder / "mesh.json") if (folder / "mesh.json").is_file() else {}
        return cls(**read_arrays(folder / "mesh.npz"), texture=read_image(folder / "texture.png"), facts=facts)


@dataclass(frozen=True)
class ViewSet(Record):
    """Pictures of one thing from several cameras.

    images: (M, H, W, 4) 0..1 straight alpha. cameras: M of them, display frame. labels: M texts, like 'azimuth 90'.
    """

    kind: ClassVar[str] = "views"
    images: Floats
    cameras: tuple[Camera, ...]
    labels: tuple[str, ...]

    def save(self, folder: Path) -> None:
        for i, image in enumerate(self.images):
            write_image(folder / f"view_{i:03d}.png", image)
        cameras = [camera.to_json() for camera in self.cameras]
        write_json(folder / "views.json", {"cameras": cameras, "labels": list(self.labels)})

    @classmethod
    def load(cls, folder: Path) -> ViewSet:
        facts = read_json(folder / "views.json")
        images = np.stack([read_image(folder / f"view_{i:03d}.png") for i in range(len(facts["labels"]))])
        return cls(images, tuple(Camera.from_json(c) for c in facts["cameras"]), tuple(facts["labels"]))
