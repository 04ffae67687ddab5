"""One picture of a scene with its truth, through a pinhole or a parallel projection."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate.subject import View
from pipelines.geometry.cameras import Camera
from training.people.fabric import encoded
from training.people.raster import FAR, fill, parallel, pinhole
from training.people.scene import Scene
from training.people.shade import covered, folded, shaded, surface_facts
from training.people.texture import TO_LINEAR

Floats = NDArray[np.float32]


class Picture(NamedTuple):
    """linear (H, W, 4): straight colour in linear light, and alpha. first, last (H, W): depth, m, 0 outside. normal
    (H, W, 3) display frame. label (H, W), 255 outside. uv (H, W, 2)."""

    linear: Floats
    first: Floats
    last: Floats
    normal: Floats
    label: NDArray[np.uint8]
    uv: Floats


def photographed(scene: Scene, camera: Camera) -> Picture:
    """The scene through a pinhole."""
    eye = np.append(camera.position, 1.0)
    return _picture(scene, pinhole(scene.points, camera), camera.width, camera.height, eye, 0.0)


def projected(scene: Scene, world_to_camera: NDArray[np.floating], metres: float, size: int) -> Picture:
    """The scene in a square parallel projection `metres` wide; depths are z in the camera frame."""
    screen = parallel(scene.points, world_to_camera, metres, size)
    eye = np.append(-world_to_camera[2, :3], 0.0)
    return _picture(scene, screen, size, size, eye, FAR)


def view_of(scene: Scene, camera: Camera) -> View:
    """The picture as a record of the truth: sRGB, straight alpha."""
    p = photographed(scene, camera)
    rgba = np.dstack([encoded(p.linear[..., :3]), p.linear[..., 3]]).astype(np.float32)
    return View(camera, rgba, p.first, p.last, p.normal, p.label, p.uv)


def _picture(scene: Scene, screen: NDArray[np.float64], width: int, height: int, eye: NDArray[np.float64],
             far: float) -> Picture:  # fmt: skip
    s = scene
    ids, keys, last_ids, last_keys = fill(screen, s.faces, s.uv, s.owner, s.cut, s.hashes, s.areas, s.texels,
                                          s.pyramid, width, height)  # fmt: skip
    box = covered(ids)
    colour = shaded(screen, ids, box, s.faces, s.uv, s.owner, s.areas, s.texels, s.pyramid, TO_LINEAR, s.light,
                    s.normals, s.points, s.look, s.lights.keys, s.lights.key_radiance, eye)  # fmt: skip
    linear = folded(colour, ids, box, height, width)
    centre_ids = np.ascontiguousarray(ids[::2, ::2])
    hit = centre_ids >= 0
    normal, label, uv = surface_facts(screen, centre_ids, s.faces, s.uv, s.normals, s.label)
    return Picture(linear, _depth(keys[::2, ::2], hit, far), _depth(last_keys, last_ids >= 0, far), normal, label, uv)


def _depth(keys: Floats, hit: NDArray[np.bool_], far: float) -> Floats:
    if far:
        return np.where(hit, far - keys, 0.0).astype(np.float32)
    return np.where(hit, 1.0 / np.where(hit, keys, 1.0), 0.0).astype(np.float32)


def last_colours(scene: Scene, camera: Camera) -> Floats:
    """(H, W, 3) sRGB of the last surface, as seen from behind; 0 where nothing is. For what the back looks like."""
    s = scene
    screen = pinhole(s.points, camera)
    _, _, last, _ = fill(screen, s.faces, s.uv, s.owner, s.cut, s.hashes, s.areas, s.texels, s.pyramid,
                         camera.width, camera.height)  # fmt: skip
    ids = np.full((2 * camera.height, 2 * camera.width), -1, np.int32)
    ids[::2, ::2] = last
    # Highlights as somebody behind the person sees them: the camera's place mirrored at the person.
    eye = np.append(2.0 * s.points.mean(0) - camera.position, 1.0)
    colour = shaded(screen, ids, covered(ids), s.faces, s.uv, s.owner, s.areas, s.texels, s.pyramid, TO_LINEAR,
                    s.light, s.normals, s.points, s.look, s.lights.keys, s.lights.key_radiance, eye)  # fmt: skip
    return encoded(colour[::2, ::2]).astype(np.float32)
