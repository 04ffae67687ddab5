"""Step turntable: the person drawn from all sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.geometry.cameras import Camera, intrinsics, look_at
from pipelines.records import Splats, ViewSet
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class TurntableParams:
    """Knobs of turntable."""

    frames: int = knob(36, "Pictures on the way around.", low=2, high=360)
    size: int = knob(512, "Side of a picture.", low=32, high=2048, unit="px")
    fov: float = knob(25.0, "Field of view of the lens.", low=5.0, high=90.0, unit="degrees")


@step("turntable", version=1, title="Turntable", kind="generated")
def turntable(splats: Splats, params: TurntableParams, ctx: Context) -> ViewSet:
    """The splats from all sides, level, from as far away as the lens needs to hold the whole person."""
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.geometry.splat_raster import render_numpy

    images, cameras, labels = [], [], []
    low, high = splats.means.min(0).astype(np.float64), splats.means.max(0).astype(np.float64)
    middle = np.array([0.0, 0.5 * (low[1] + high[1]), 0.0])
    reach = float(np.linalg.norm(splats.means - middle, axis=1).max())
    distance = 1.05 * reach / np.sin(np.radians(params.fov) / 2.0)
    for i in range(params.frames):
        azimuth = 360.0 * i / params.frames
        pose = look_at(middle, distance, azimuth, 0.0)
        camera = Camera(intrinsics(params.size, params.size, params.fov), params.size, params.size, pose)
        drawn = render_numpy(
            splats.means, splats.quats, splats.scales, splats.opacities, splats.colours, camera.world_to_camera,
            camera.K, camera.width, camera.height,
        )  # fmt: skip
        alpha = drawn.alpha[..., None]
        rgb = np.clip(drawn.features / np.maximum(alpha, 1e-4), 0, 1)
        images.append(np.concatenate([rgb, alpha], -1).astype(np.float32))
        cameras.append(camera)
        labels.append(f"azimuth {azimuth:g}")
        ctx.progress((i + 1) / params.frames, labels[-1], images[-1])
    return ViewSet(np.stack(images), tuple(cameras), tuple(labels))
