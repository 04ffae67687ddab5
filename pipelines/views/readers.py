"""Folders and archives of pictures made elsewhere -> views with cameras: one reader a layout, a table at the end.

A reader gets the files by name and says which camera took which. Generators draw a person in a unit cube and do not
know how tall anybody is: the height comes from the user. The display frame is set by the pictures: ground at the
lowest pixel of the first view, origin on the axis that the cameras look at.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.geometry.cameras import Camera
from pipelines.geometry.orthographic import OrthographicCamera, around
from pipelines.records import Floats
from pipelines.step import UserError
from pipelines.views.records import AnyCamera, PosedView, Views, unit_normals

Files = dict[str, bytes]

MOST_PIXELS = 16_000_000  # of one picture
_PICTURES = (".png", ".webp", ".jpg", ".jpeg")
_BACKGROUND = 230  # SyncHuman stage 2: a pixel belongs to the person where any channel of the normal map is below


@dataclass(frozen=True)
class Wishes:
    """What the pictures do not say. height: of the person, metres. first: azimuth of a turntable's first frame,
    degrees. clockwise: seen from above, the camera of a turntable walks from the person's front to the right hand."""

    height: float = 1.70
    first: float = 0.0
    clockwise: bool = False


class Reader(NamedTuple):
    """recognises: whether the names are this layout's. read: the views."""

    title: str
    needs: str
    recognises: Callable[[Files], bool]
    read: Callable[[Files, Wishes], Views]


class Raw(NamedTuple):
    """A view before its camera is known in metres. rgba (H, W, 4); normal (H, W, 3) unit or None; azimuth degrees."""

    label: str
    azimuth: float
    rgba: Floats
    normal: Floats | None
    photo: bool = False

    @property
    def flipped(self) -> Raw:
        """Pixels left and right exchanged; normals keep their signs, since they are in the display frame."""
        normal = None if self.normal is None else np.ascontiguousarray(self.normal[:, ::-1])
        return self._replace(rgba=np.ascontiguousarray(self.rgba[:, ::-1]), normal=normal)


def read_synchuman(files: Files, wishes: Wishes) -> Views:
    """The files of SyncHuman's first stage: color_0..4.png, normal_0..4.png; 2 and 3 stored mirrored, 4 the face.

    Normals are in the front camera's frame (x right, y up, z towards it), which is the display frame.
    """
    raw = []
    for i, (label, azimuth) in enumerate((("front", 0.0), ("right", 90.0), ("back", 180.0), ("left", 270.0))):
        normal, mask = normals_of(files[f"normal_{i}.png"], f"normal_{i}.png")
        view = Raw(label, azimuth, with_alpha(colour_of(files, f"color_{i}.png", mask.shape), mask), normal, i == 0)
        raw.append(view.flipped if i in (2, 3) else view)
    views = in_metres(raw, wishes, "synchuman", mirrored=["back", "left"])
    if "normal_4.png" not in files or "color_4.png" not in files:
        return views
    # The face view is the middle third of the top third of the front view, three times as large.
    front = views.views[0]
    assert isinstance(front.camera, OrthographicCamera)
    side = front.camera.width // 3
    normal, mask = normals_of(files["normal_4.png"], "normal_4.png")
    rgba = with_alpha(colour_of(files, "color_4.png", mask.shape), mask)
    camera = front.camera.cropped(side, 0, side, side).resized(mask.shape[1], mask.shape[0])
    face = PosedView("face", rgba, camera, normal, close_up=True)
    return Views((*views.views, face), views.facts)


# PSHuman's names, and how many degrees from the front towards the person's left its cameras stand.
PSHUMAN = {"front_face": 0.0, "front_right": 45.0, "right": 90.0, "back": 180.0, "left": 270.0, "front_left": 315.0}
_NAMED = re.compile(r"^(?:colou?r|rgb)s?_(?:\d+_)?(\w+?)(?:_masked)?\.(?:png|webp|jpe?g)$")


def pshuman_names(files: Files) -> dict[str, tuple[str, str]]:
    """{view: (colour file, normal file)} for the six views that are there."""
    found = {}
    for name in files:
        match = _NAMED.match(name)
        view = match.group(1) if match else ""
        view = "front_face" if view == "front" else view
        if view in PSHUMAN:
            normal = next((n for n in files if n != name and re.sub(r"^normals?_", "", n) ==
                           re.sub(r"^(?:colou?r|rgb)s?_", "", name)), "")  # fmt: skip
            found[view] = (name, normal)
    return found


def read_pshuman(files: Files, wishes: Wishes) -> Views:
    """PSHuman's six views, color_VIEW_masked.png and normals_VIEW_masked.png (alpha is the person, if there is one).

    Its network draws 'back' and 'left' mirrored and its program turns them back; both kinds of files exist, so the
    outlines decide: back must be the front's mirror image, left the right's.
    """
    raw: dict[str, Raw] = {}
    for view, (colour, normal_file) in pshuman_names(files).items():
        normal, mask = normals_of(files[normal_file], normal_file) if normal_file else (None, None)
        rgba = with_alpha(picture(files[colour], colour), mask)
        raw[view] = Raw(view.replace("_", " "), PSHUMAN[view], rgba, normal, view == "front_face")
    mirrored = []
    for view, opposite in (("back", "front_face"), ("left", "right")):
        if view in raw and opposite in raw and is_mirrored(raw[opposite].rgba[..., 3], raw[view].rgba[..., 3]):
            raw[view] = raw[view].flipped
            mirrored.append(view)
    ordered = sorted(raw.values(), key=lambda v: v.azimuth)
    return in_metres(ordered, wishes, "pshuman", mirrored=mirrored)


def read_turntable(files: Files, wishes: Wishes) -> Views:
    """Frames of a turntable. The azimuth stands in the name ('az045.png', 'azimuth_45.5.png'); without one the frames
    go evenly around from `first`, in the order of their names. Orthographic, level, the person in the middle."""
    names = frame_names(files)
    given = {n: _AZIMUTH.search(n) for n in names}
    raw = []
    for i, name in enumerate(names):
        stated = given[name]
        step = -360.0 / len(names) if wishes.clockwise else 360.0 / len(names)
        azimuth = float(stated.group(1)) if stated else wishes.first + i * step
        rgba = with_alpha(picture(files[name], name), None)
        normal_file = next((n for n in files if n == "normal_" + name), None)
        normal = normals_of(files[normal_file], normal_file)[0] if normal_file else None
        raw.append(Raw(f"azimuth {azimuth % 360:g}", azimuth % 360, rgba, normal))
    return in_metres(raw, wishes, "turntable")


_AZIMUTH = re.compile(r"az(?:imuth)?[_-]?(\d+(?:\.\d+)?)")


def frame_names(files: Files) -> list[str]:
    """Names of the frames in their natural order (frame 10 after frame 9)."""
    names = [n for n in files if n.lower().endswith(_PICTURES) and not n.startswith("normal_")]
    return sorted(names, key=lambda n: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", n)])


def read_with_cameras(files: Files, wishes: Wishes) -> Views:
    """Any pictures with a cameras.json: {"views": [{"colour": file, "normal": file or absent, "photo": bool,
    "close_up": bool, "camera": {...}}]}. A camera is {"K", "width", "height", "world_to_camera"} or, orthographic,
    {"scale", "centre", "width", "height", "world_to_camera"}; display frame, metres, OpenCV camera axes. Normals are
    in the display frame."""
    views = []
    try:
        rows = json.loads(files["cameras.json"])["views"]
        for row in rows:
            camera_type = OrthographicCamera if "scale" in row["camera"] else Camera
            camera: AnyCamera = camera_type.from_json(row["camera"])
            normal, mask = None, None
            if row.get("normal"):
                normal, mask = normals_of(files[row["normal"]], row["normal"])
            rgba = with_alpha(picture(files[row["colour"]], row["colour"]), mask)
            label = str(row.get("label", row["colour"]))
            views.append(PosedView(label, rgba, camera, normal, bool(row.get("photo")), bool(row.get("close_up"))))
    except KeyError as error:
        raise UserError(f"cameras.json names {error}, which is not there; each view needs a 'colour' file and a "
                        "'camera', and the files must be in the same folder.") from None  # fmt: skip
    except (ValueError, TypeError) as error:
        raise UserError(f"cameras.json could not be read: {error}") from None
    return Views(tuple(views), {"source": "cameras", "height_m": wishes.height, "mirrored": []})


READERS: dict[str, Reader] = {
    "cameras": Reader("Pictures with cameras", "a cameras.json and the pictures that it names",
                      lambda f: "cameras.json" in f, read_with_cameras),
    "synchuman": Reader("SyncHuman stage 1", "color_0..3.png and normal_0..3.png (4 is the face)",
                        lambda f: all(f"{k}_{i}.png" in f for k in ("color", "normal") for i in range(4)),
                        read_synchuman),
    "pshuman": Reader("PSHuman", "color_VIEW_masked.png and normals_VIEW_masked.png of at least three of the six views",
                      lambda f: len(pshuman_names(f)) >= 3, read_pshuman),
    "turntable": Reader("Turntable", "at least three pictures with the azimuth in the name, or in order around",
                        lambda f: len(frame_names(f)) >= 3, read_turntable),
}  # fmt: skip


def read_views(files: Files, wishes: Wishes, layout: str = "auto") -> Views:
    """The views of a folder's files. layout: a name in READERS, or 'auto' for the first that recognises them.

    UserError when no reader does, or a file is missing, damaged or too large.
    """
    if layout == "auto":
        layout = next((name for name, reader in READERS.items() if reader.recognises(files)), "")
        if not layout:
            known = "; ".join(f"{r.title}: {r.needs}" for r in READERS.values())
            names = ", ".join(sorted(files)[:6]) or "nothing"
            raise UserError(f"These files ({names}) are no set of views that is known here. Known are: {known}.")
    try:
        views = READERS[layout].read(files, wishes)
    except KeyError as error:
        raise UserError(
            f"The file {error} is missing; {READERS[layout].title} needs {READERS[layout].needs}."
        ) from None
    for view in views.views:
        if not view.mask.any():
            raise UserError(f"The view '{view.label}' shows nobody: its picture is empty.")
    return views


def picture(data: bytes, name: str) -> Floats:
    """(H, W, 3 or 4) 0..1 of an image file; UserError when it is damaged or too large."""
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG", "WEBP", "JPEG"))
        if image.width * image.height > MOST_PIXELS:
            raise UserError(f"'{name}' has {image.width} x {image.height} pixels; up to 16 megapixels are read.")
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"'{name}' is not a picture that can be read ({error}).") from None
    transparent = "A" in image.getbands() or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if transparent else "RGB"), np.float32) / 255.0


def colour_of(files: Files, name: str, shape: tuple[int, ...]) -> Floats:
    """A colour picture of the same size as its normal map; UserError otherwise."""
    image = picture(files[name], name)
    if image.shape[:2] != shape:
        raise UserError(
            f"'{name}' has {image.shape[1]} x {image.shape[0]} px and its normal map {shape[1]} x {shape[0]}."
        )
    return image


def normals_of(data: bytes, name: str) -> tuple[Floats, NDArray[np.bool_]]:
    """Unit normals (H, W, 3) from colours (n + 1) / 2, and the person (H, W): the file's alpha, else what is not
    white."""
    image = picture(data, name)
    mask: NDArray[np.bool_] = np.asarray(
        image[..., 3] > 0.5 if image.shape[2] == 4 else (image < _BACKGROUND / 255.0).any(-1)
    )
    return np.where(mask[..., None], unit_normals(image[..., :3] * 2.0 - 1.0), 0.0).astype(np.float32), mask


def with_alpha(image: Floats, mask: NDArray[np.bool_] | None) -> Floats:
    """(H, W, 4): the mask given, else the picture's own alpha, else what differs from the colour of its corners."""
    rgb = image[..., :3]
    if mask is None:
        if image.shape[2] == 4:
            mask = image[..., 3] > 0.5
        else:
            corner = np.median(np.stack([rgb[0, 0], rgb[0, -1], rgb[-1, 0], rgb[-1, -1]]), 0)
            mask = np.abs(rgb - corner).max(-1) > 0.06
    return np.dstack([rgb, mask.astype(np.float32)]).astype(np.float32)


def is_mirrored(front: Floats, back: Floats) -> bool:
    """Whether the outline (H, W) of the opposite view fits better as it is than turned round."""
    a, b = front > 0.5, back > 0.5
    return bool((a & b).sum() > (a & b[:, ::-1]).sum())


def in_metres(raw: list[Raw], wishes: Wishes, source: str, mirrored: list[str] | None = None) -> Views:
    """Level orthographic views of a common cube, the axis through the middle of every picture -> the display frame.

    The tallest outline is `wishes.height` metres, the ground at its lowest pixel.
    """
    sizes = {v.rgba.shape[:2] for v in raw}
    if len(raw) < 2 or len({h / w for h, w in sizes}) > 1:
        raise UserError(f"{len(raw)} views of the sizes {sorted(sizes)} came; at least two of one shape are needed.")
    spans = []
    for view in raw:
        rows = np.flatnonzero((view.rgba[..., 3] > 0.5).any(1))
        if not len(rows):
            raise UserError(f"The view '{view.label}' shows nobody: its picture is empty.")
        spans.append(((rows[-1] + 1) / view.rgba.shape[0], rows[0] / view.rgba.shape[0]))
    low, high = float(np.median([s[0] for s in spans])), float(np.median([s[1] for s in spans]))
    metres = wishes.height / (low - high)  # of a picture's height
    middle = np.array([0.0, (low - 0.5) * metres, 0.0])
    views = []
    for view in raw:
        height, width = view.rgba.shape[:2]
        camera = around(view.azimuth, 0.0, height, height / metres, middle).cropped(
            (height - width) // 2, 0, width, height
        )
        views.append(PosedView(view.label, view.rgba, camera, view.normal, view.photo))
    return Views(tuple(views), {"source": source, "height_m": wishes.height, "mirrored": mirrored or []})
