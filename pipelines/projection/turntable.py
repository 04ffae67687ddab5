"""Step turntable: the person drawn from 36 sides by our own rasteriser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.records import Body, Splats, ViewSet
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class TurntableParams:
    """Knobs of turntable."""

    frames: int = knob(36, "Pictures on the way around.", low=2, high=360)
    size: int = knob(512, "Side of a picture.", low=32, high=2048, unit="px")


@step("turntable", version=1, title="Turntable", kind="mixed")
def turntable(splats: Splats, body_fit: Body, params: TurntableParams, ctx: Context) -> ViewSet:
    """The splats from all sides: the photo's camera, padded to a square, walked around the person.

    Lens and distance are the photo's; what is deeper than the picture is wide stays cut at its border.
    """
    images, cameras, labels = [], [], []
    base, centre = body_fit.camera.square(params.size), pivot(body_fit)
    for i in range(params.frames):
        azimuth = 360.0 * i / params.frames
        camera = base.orbited(azimuth, None, centre)
        images.append(picture(splats, camera))
        cameras.append(camera)
        labels.append(f"azimuth {azimuth:g}")
        ctx.progress((i + 1) / params.frames, labels[-1], images[-1])
    return ViewSet(np.stack(images), tuple(cameras), tuple(labels))


def pivot(body: Body) -> NDArray[np.float64]:
    """(3,) the point the camera is walked around, display frame: the pelvis joint."""
    return body.camera.to_world(np.asarray(body["root_translation"], np.float64)[None])[0]


def picture(splats: Splats, camera: Camera) -> NDArray[np.float32]:
    """(H, W, 4) straight alpha, 0..1."""
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.geometry.splat_raster import render_numpy

    drawn = render_numpy(
        splats.means, splats.quats, splats.scales, splats.opacities, splats.colours, camera.world_to_camera, camera.K,
        camera.width, camera.height,
    )  # fmt: skip
    alpha = drawn.alpha[..., None]
    return np.concatenate([np.clip(drawn.features / np.maximum(alpha, 1e-4), 0, 1), alpha], -1).astype(np.float32)
