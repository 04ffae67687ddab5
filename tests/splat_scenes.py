"""Small random sets of splats for the rasteriser's tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipelines.geometry import splat_twin
from pipelines.geometry.splat_project import ALPHA_MIN

PARAMETERS = ("means", "quats", "scales", "opacities", "features", "world_to_camera", "K", "background")


@dataclass(frozen=True)
class Scene:
    """Arguments of `rasterise`, double."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    features: Tensor
    world_to_camera: Tensor
    K: Tensor
    background: Tensor
    width: int = 70
    height: int = 61

    def tensors(self) -> list[Tensor]:
        return [getattr(self, name) for name in PARAMETERS]

    def changed(self, **fields: object) -> Scene:
        return replace(self, **fields)  # type: ignore[arg-type]


def random_scene(count: int, seed: int = 0, channels: int = 3, size: float = 0.06) -> Scene:
    """Splats in a 1.2 m box, 2.5 m before a slightly turned camera; every number exact in float32."""
    random = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random)

    pose = torch.eye(4)
    turn = torch.linalg.qr(torch.eye(3) + 0.2 * torch.randn(3, 3, generator=random))[0]
    pose[:3, :3] = turn * torch.sign(torch.diagonal(turn))  # columns near the unit vectors: no mirroring
    pose[2, 3] = 2.5
    return Scene(
        means=((uniform(count, 3) - 0.5) * 1.2).double(),
        quats=torch.randn(count, 4, generator=random).double(),
        scales=(size * (0.2 + uniform(count, 3))).double(),
        opacities=(0.02 + 0.97 * uniform(count)).double(),
        features=uniform(count, channels).double(),
        world_to_camera=pose.double(),
        K=torch.tensor([[90.0, 0, 33], [0, 95, 31], [0, 0, 1]]).double(),
        background=uniform(channels).double(),
    )


def projected(scene: Scene) -> splat_twin.Projected:
    """The twin's projection of a scene with the usual blur."""
    return splat_twin.project(
        scene.means, scene.quats, scene.scales, scene.world_to_camera, scene.K, scene.width, scene.height, 0.3, 0.01
    )


def at_the_edge(scene: Scene, width: float = 1e-4) -> Tensor:
    """(H, W) bool: pixels where some alpha is so near 1/255 that rounding may decide whether it counts."""
    flat = projected(scene)
    alpha = splat_twin.strengths(
        flat.centre,
        splat_twin.conic_of(flat.covariance),
        scene.opacities[flat.index],
        splat_twin.pixel_centres(scene.width, scene.height),
        cut_off=False,
    )
    return ((alpha / ALPHA_MIN - 1).abs() < width).any(1).reshape(scene.height, scene.width)
