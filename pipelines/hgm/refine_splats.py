"""Silhouettes of a coarse person of Gaussians from the sides: what the paper refines the body with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.splat_raster import render_numpy
from pipelines.records import Splats

if TYPE_CHECKING:
    from pipelines.hgm.refine_masks import Orbit

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SplatPerson:
    """splats: in the OpenCV frame of the photo's camera, metres, not in the display frame."""

    splats: Splats


def splat_masks(person: SplatPerson, orbit: Orbit) -> Floats:
    """(views, SIZE, SIZE) 0..1: the alpha of the Gaussians from all cameras of an orbit."""
    s, paint = person.splats, np.ones((len(person.splats), 1), np.float32)
    masks = [
        render_numpy(s.means, s.quats, s.scales, s.opacities, paint, c.world_to_camera, c.K, c.width, c.height).alpha
        for c in orbit.cameras
    ]
    return np.stack(masks).astype(np.float32)
