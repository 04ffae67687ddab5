"""The pictures that the second stage bakes its texture from: five of the first stage, then the splats from all around."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.records import Splats
from pipelines.synchuman.bake_cameras import STAGE_1_VIEWS, bake_angles
from pipelines.synchuman.configuration import face_share
from pipelines.synchuman.display import Placement
from pipelines.synchuman.frame import to_bytes
from pipelines.synchuman.records import TenPictures
from pipelines.synchuman.splat_views import render_view
from pipelines.synchuman.view_pictures import face_canvas, foreground
from pipelines.synchuman.views import Views

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Observation:
    """One picture (S, S, 3), where it shows the person (S, S), and from where; parallel: with parallel rays."""

    picture: Bytes
    mask: NDArray[np.bool_]
    yaw: float
    pitch: float
    parallel: bool


def observations(
    pictures: TenPictures, splats: Splats, placement: Placement, renders: int, size: int
) -> Iterator[Observation]:
    """Front, left, back, right and the face; then `renders` pictures of the splats, `size` px wide, on black.

    All as a camera there sees them. The person is where the normal map is not white, or where a splat is.
    """
    angles = bake_angles(STAGE_1_VIEWS + renders)
    plain = Views(list(pictures.colours), list(pictures.normals)).unmirrored()
    whole = [*zip(plain.colours[:-1], plain.normals[:-1], strict=True)]
    share = face_share(pictures.facts)
    whole.append((on_face_canvas(plain.colours[-1], share), on_face_canvas(plain.normals[-1], share)))
    for (colours, normals), (yaw, pitch) in zip(whole, angles, strict=False):
        yield Observation(colours, foreground(normals), float(yaw), float(pitch), True)
    for yaw, pitch in angles[STAGE_1_VIEWS:]:
        camera = placement.perspective(float(yaw), float(pitch), size)
        drawn = render_view(splats.means, splats.quats, splats.scales, splats.opacities, splats.colours, camera)
        picture = to_bytes(np.clip(drawn.features, 0, 1))
        yield Observation(picture, np.any(picture > 0, axis=-1), float(yaw), float(pitch), False)


def on_face_canvas(face: Bytes, share: int = 3) -> Bytes:
    """(S, S, 3) close-up -> (2 S, 2 S, 3): at its place in a front view of twice the size, white around, cut to 8 bits."""
    tensor: Tensor = torch.from_numpy(np.ascontiguousarray(face)).permute(2, 0, 1).float() / 255
    return to_bytes(face_canvas(tensor, 2 * len(face), share).permute(1, 2, 0).numpy())
