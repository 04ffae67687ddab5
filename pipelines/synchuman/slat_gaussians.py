"""The decoder of structured latents into Gaussians: 32 of them around every voxel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.synchuman.configuration import SlatDecoderConfig
from pipelines.synchuman.hammersley import radical_inverse
from pipelines.synchuman.slat_transformer import SlatTransformer, Watch
from pipelines.synchuman.voxels import Voxels

PER_VOXEL = 32
VOXEL_REACH = 1.5  # a centre moves at most half of this many voxels away from its voxel's
LEAST_SCALE = 0.0009
START_SCALE = 0.004
START_OPACITY = 0.1
ROTATION_RATE = 0.1
SH0 = 0.28209479177387814  # the constant spherical harmonic
LAYOUT = {"xyz": (3,), "features_dc": (1, 3), "scaling": (3,), "rotation": (4,), "opacity": (1,)}


@dataclass(frozen=True)
class Gaussians:
    """Voxel-major, 32 rows per voxel; z up, the person faces -y, the cube is -0.5 .. 0.5.

    means (G, 3). scales (G, 3) linear. quats (G, 4) wxyz, unit. opacities (G,) 0..1. colours (G, 3), at least 0.
    raw: the head's values before activation, by name.
    """

    means: Tensor
    scales: Tensor
    quats: Tensor
    opacities: Tensor
    colours: Tensor
    raw: dict[str, Tensor]


def offset_perturbation() -> Tensor:
    """(32, 3) where the Gaussians of a voxel start: a Hammersley set, as the inverse of the offset's activation."""
    points = [(i / PER_VOXEL, radical_inverse(i, 2), radical_inverse(i, 3)) for i in range(PER_VOXEL)]
    return torch.atanh((2 * torch.tensor(points, dtype=torch.float32) - 1) / VOXEL_REACH)


class GaussianDecoder(SlatTransformer):
    """Structured latents and view maps -> Gaussians."""

    def __init__(self, config: SlatDecoderConfig) -> None:
        super().__init__(config)
        self.register_buffer("offset_perturbation", offset_perturbation())
        count = sum(math.prod(shape) for shape in LAYOUT.values())
        self.out_layer = torch.nn.Linear(config.width, PER_VOXEL * count)

    def forward(
        self, latents: Tensor, voxels: Voxels, colour: Tensor, normal: Tensor, watch: Watch | None = None
    ) -> Gaussians:
        """As `SlatTransformer.body` -> the Gaussians."""
        h = self.body(latents, voxels, colour, normal, watch).float()
        head = self.out_layer(F.layer_norm(h, h.shape[-1:], eps=1e-5).to(self.out_layer.weight))[0].float()
        if watch is not None:
            watch("out_layer", head)
        return self.activate(head, voxels)

    def activate(self, head: Tensor, voxels: Voxels) -> Gaussians:
        """(N, 448) raw values, attribute-major, then Gaussian, then component -> Gaussians."""
        parts = torch.split(head, [PER_VOXEL * math.prod(shape) for shape in LAYOUT.values()], -1)
        raw = {
            name: part.unflatten(-1, (PER_VOXEL, *shape))
            for (name, shape), part in zip(LAYOUT.items(), parts, strict=True)
        }
        raw["rotation"] = ROTATION_RATE * raw["rotation"]
        raw["xyz"] = raw["xyz"] + self.offset_perturbation
        side = self.config.resolution
        centre = (voxels.coords[:, None].float() + 0.5) / side
        raw["xyz"] = centre + torch.tanh(raw["xyz"]) * (0.5 * VOXEL_REACH / side)
        raw = {name: value.flatten(0, 1) for name, value in raw.items()}
        scale = F.softplus(raw["scaling"] + scale_bias())
        upright = torch.tensor((1.0, 0.0, 0.0, 0.0), device=head.device)
        return Gaussians(
            means=raw["xyz"] - 0.5,
            scales=torch.sqrt(scale**2 + LEAST_SCALE**2),
            quats=F.normalize(raw["rotation"] + upright, dim=-1),
            opacities=torch.sigmoid(raw["opacity"] + opacity_bias())[:, 0],
            colours=(0.5 + SH0 * raw["features_dc"][:, 0]).clamp(min=0),
            raw=raw,
        )


def scale_bias() -> float:
    """What softplus turns into the starting scale."""
    return math.log(math.expm1(START_SCALE))


def opacity_bias() -> float:
    """What the sigmoid turns into the starting opacity."""
    return math.log(START_OPACITY / (1 - START_OPACITY))
