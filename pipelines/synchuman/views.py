"""From decoded pictures to the files that stage 2 and a person look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.synchuman.frame import face_box
from pipelines.synchuman.records import MIRRORED

VIEWS = 5

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Views:
    """Five colour pictures and five normal maps, (S, S, 3) uint8 each: front, right, back, left, face.

    Normals are in the front camera's frame (x right, y up, z towards it) in every view, stored as (n + 1) / 2.
    """

    colours: list[Bytes]
    normals: list[Bytes]

    def concat(self) -> Bytes:
        """(S, 10 S, 3): colour 0, normal 0, colour 1, ..."""
        return np.concatenate([part for pair in zip(self.colours, self.normals, strict=True) for part in pair], 1)

    def unmirrored(self) -> Views:
        """The views as cameras around the person see them; the values of normals do not change."""
        colours, normals = (
            [np.ascontiguousarray(p[:, ::-1]) if v in MIRRORED else p for v, p in enumerate(pictures)]
            for pictures in (self.colours, self.normals)
        )
        return Views(colours, normals)


def assemble(
    decoded: Tensor, canvas: Tensor, *, keep_generated_front: bool = False, paste_face: bool = True, face_share: int = 3
) -> Views:
    """Decoded pictures (10, 3, S, S) 0..1, five normals then five colours, and the canvas (3, S, S) on white.

    The front colour becomes the canvas itself; the face's normal map is pasted hard into the front one. All
    arithmetic is in the type of `decoded`: float16 gives the released bytes.
    """
    images = decoded.clone()
    if not keep_generated_front:
        images[VIEWS] = canvas.to(images.dtype)
    if paste_face:
        left, top, right, bottom = face_box(images.shape[-1], face_share)
        face = torch.nn.functional.interpolate(images[None, VIEWS - 1], (bottom - top, right - left), mode="bilinear")
        images[0, :, top:bottom, left:right] = face[0]
    saved = (images * 255 + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return Views(list(saved[VIEWS:]), list(saved[:VIEWS]))


def saved_coords(coords: Tensor) -> NDArray[np.float32]:
    """(N, 4) int voxels as `latent.npz` holds them: float32."""
    return coords.cpu().numpy().astype(np.float32)
