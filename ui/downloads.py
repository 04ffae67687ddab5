"""The files that leave: every format with a plain name and one sentence."""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    """label: what a person calls it. what: one sentence. part: the kind of record whose step offers it."""

    label: str
    what: str
    part: str


FORMATS: dict[str, Format] = {
    "glb": Format("GLB mesh", "Textured mesh in one file, for Blender, phones and game engines.", "mesh"),
    "obj": Format("OBJ mesh", "Mesh with material and texture, packed as a ZIP, for older programs.", "mesh"),
    "ply": Format("PLY splats", "3D Gaussian splats with the usual columns, for splat viewers and editors.", "splats"),
    "splat": Format("SPLAT", "Compact splats for web viewers.", "splats"),
    "spz": Format("SPZ splats", "Compressed splats, about a tenth of the PLY.", "splats"),
    "npz": Format("NPZ arrays", "Body, keypoints, cameras, splats and mesh as named arrays.", "body"),
    "html": Format("HTML page", "The result in one page that opens without a network.", "splats"),
    "viser": Format("VISER scene", "The recorded 3D scene for viser's player.", "splats"),
    "mp4": Format("MP4 film", "One turn around the person.", "views"),
    "webp": Format("WEBP animation", "The same turn with a transparent ground, for web pages.", "views"),
    "preview": Format("PNG preview", "Front, sides and back in one picture.", "splats"),
    "zip": Format("Everything, ZIP", "All files with the run record, licences and the command that repeats it.", "*"),
}


def file_name(format: str) -> str:
    """What the file is called on the visitor's disk."""
    own = {"obj": "humanscope-obj.zip", "zip": "humanscope-run.zip", "preview": "humanscope-preview.png"}
    return own.get(format, f"humanscope-person.{format}")


def cards() -> list[dict[str, str]]:
    """For the page's script."""
    return [{"format": name, **entry._asdict()} for name, entry in FORMATS.items()]
