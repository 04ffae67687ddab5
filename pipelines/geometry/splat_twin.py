"""The splat rasteriser in plain torch and double precision: slow, short, and the judge of the fast ones.

Every pixel looks at every splat; gradients come from autograd. Memory is 8 bytes x 10 x pixels x splats per
band of rows, so this is for small pictures only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.geometry.splat_project import ALPHA_MIN, GUARD_BAND

ALPHA_MAX = 0.999
_BAND = 2_000_000  # pixel-splat pairs worked on at once


@dataclass(frozen=True)
class Projected:
    """Splats in the picture, nearest first: centre (M, 2) pixels, covariance (M, 3) = xx, xy, yy in pixels^2,
    depth (M,) metres, index (M,) into the input."""

    centre: Tensor
    covariance: Tensor
    depth: Tensor
    index: Tensor


@dataclass(frozen=True)
class Composite:
    """Blended pictures: features (H, W, C), alpha, depth, median_depth (H, W), largest weight (M,)."""

    features: Tensor
    alpha: Tensor
    depth: Tensor
    median_depth: Tensor
    largest: Tensor


def rotation_of(quats: Tensor) -> Tensor:
    """(N, 4) wxyz, any length but zero -> (N, 3, 3)."""
    w, x, y, z = (quats / quats.norm(dim=1, keepdim=True)).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, 1).reshape(-1, 3, 3)


def project(
    means: Tensor, quats: Tensor, scales: Tensor, world_to_camera: Tensor, K: Tensor, width: int, height: int,
    blur: float, near: float,
) -> Projected:  # fmt: skip
    """EWA projection: covariance J W R S S^T R^T W^T J^T + blur I, splats nearer than `near` left out."""
    local = means @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    index = torch.nonzero(local[:, 2] >= near).flatten()
    index = index[torch.sort(local[index, 2].detach(), stable=True).indices]
    x, y, z = local[index].unbind(1)
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]

    def held(ratio: Tensor, focal: Tensor, centre: Tensor, size: int) -> Tensor:
        focal, centre = focal.detach(), centre.detach()
        band = GUARD_BAND * size / focal
        return torch.minimum(torch.maximum(ratio, -centre / focal - band), (size - centre) / focal + band)

    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [fx / z, zero, -fx * held(x / z, fx, cx, width) / z, zero, fy / z, -fy * held(y / z, fy, cy, height) / z], 1
    ).reshape(-1, 2, 3)
    axes = jacobian @ world_to_camera[:3, :3] @ rotation_of(quats[index]) * scales[index, None, :]
    covariance = axes @ axes.transpose(1, 2)
    flat = torch.stack([covariance[:, 0, 0] + blur, covariance[:, 0, 1], covariance[:, 1, 1] + blur], 1)
    return Projected(torch.stack([fx * x / z + cx, fy * y / z + cy], 1), flat, z, index)


def conic_of(covariance: Tensor) -> Tensor:
    """(M, 3) covariance xx, xy, yy -> its inverse in the same order."""
    xx, xy, yy = covariance.unbind(1)
    return torch.stack([yy, -xy, xx], 1) / (xx * yy - xy * xy)[:, None]


def strengths(
    centre: Tensor, conic: Tensor, opacities: Tensor, pixels: Tensor, cut_off: bool = True, kept: Tensor | None = None,
    alpha_max: float = ALPHA_MAX,
) -> Tensor:  # fmt: skip
    """(P, M) alpha of every splat at pixels (P, 2): o exp(-d^T conic d / 2), at most alpha_max.

    cut_off skips alpha below 1/255; kept (P, M) bool replaces that decision by one made before, which makes the
    picture a smooth function of the parameters.
    """
    dx, dy = (pixels[:, None, :] - centre[None, :, :]).unbind(2)
    power = -0.5 * (conic[:, 0] * dx * dx + conic[:, 2] * dy * dy) - conic[:, 1] * dx * dy
    alpha = torch.clamp(opacities.clamp(max=1.0) * torch.exp(power), max=alpha_max)
    if kept is None and cut_off:
        kept = alpha >= ALPHA_MIN
    return alpha if kept is None else torch.where(kept, alpha, torch.zeros_like(alpha))


def pixel_centres(width: int, height: int, first_row: int = 0) -> Tensor:
    """(rows * width, 2) x, y of the pixel centres from first_row on, double."""
    y, x = torch.meshgrid(
        torch.arange(first_row, height, dtype=torch.float64) + 0.5,
        torch.arange(width, dtype=torch.float64) + 0.5,
        indexing="ij",
    )
    return torch.stack([x.reshape(-1), y.reshape(-1)], 1)


def blend(alpha: Tensor, depth: Tensor, features: Tensor, background: Tensor) -> tuple[Tensor, ...]:
    """(P, M) strengths, nearest first -> features (P, C), alpha, depth, median depth (P,), weights (P, M)."""
    through = torch.cumprod(1 - alpha, 1)
    before = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], 1)
    weights = alpha * before
    left = through[:, -1]
    covered = 1 - left
    seen = covered > 0
    mean = torch.where(seen, (weights @ depth) / torch.where(seen, covered, torch.ones_like(covered)), 0.0)
    crossing = ((before > 0.5) & (through <= 0.5)).to(depth.dtype)
    return weights @ features + left[:, None] * background, covered, mean, (crossing @ depth).detach(), weights


def composite(
    projected: Projected, conic: Tensor, opacities: Tensor, features: Tensor, background: Tensor, width: int,
    height: int, cut_off: bool = True, kept: Tensor | None = None, alpha_max: float = ALPHA_MAX,
) -> Composite:  # fmt: skip
    """Blends sorted splats, in bands of rows; opacities (M,) and features (M, C) in the order of `projected`."""
    count = len(projected.depth)
    if count == 0:
        empty = torch.zeros(height, width, dtype=torch.float64)
        return Composite(background.expand(height, width, -1).clone(), empty, empty, empty, empty.new_zeros(0))
    rows = height if kept is not None else max(1, _BAND // (count * width))
    largest = torch.zeros(count, dtype=torch.float64)
    parts = []
    for first in range(0, height, rows):
        pixels = pixel_centres(width, min(height, first + rows), first)
        alpha = strengths(projected.centre, conic, opacities, pixels, cut_off, kept, alpha_max)
        *pictures, weights = blend(alpha, projected.depth, features, background)
        largest = torch.maximum(largest, weights.detach().amax(0))
        parts.append(pictures)
    image, covered, mean, median = (torch.cat(band) for band in zip(*parts, strict=True))
    return Composite(
        image.reshape(height, width, -1),
        covered.reshape(height, width),
        mean.reshape(height, width),
        median.reshape(height, width),
        largest,
    )


def render(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, features: Tensor, world_to_camera: Tensor,
    K: Tensor, width: int, height: int, background: Tensor, blur: float, near: float, cut_off: bool = True,
    alpha_max: float = ALPHA_MAX,
) -> tuple[Composite, Tensor, int]:  # fmt: skip
    """Double-precision picture, largest weight of every input splat (N,), number of dropped splats."""
    means, quats, scales, opacities, features, world_to_camera, K, background = (
        t.to(torch.float64) for t in (means, quats, scales, opacities, features, world_to_camera, K, background)
    )
    whole = torch.cat([means, quats, scales, opacities[:, None], features], 1).detach()
    usable = torch.isfinite(whole).all(1) & (quats.detach() != 0).any(1)
    chosen = torch.nonzero(usable).flatten()
    projected = project(
        means[chosen], quats[chosen], scales[chosen], world_to_camera, K, width, height, blur, near
    )  # fmt: skip
    index = chosen[projected.index]
    picture = composite(
        projected, conic_of(projected.covariance), opacities[index], features[index], background, width, height,
        cut_off, alpha_max=alpha_max,
    )  # fmt: skip
    visibility = torch.zeros(len(means), dtype=torch.float64).index_put((index,), picture.largest)
    return picture, visibility, int((~usable).sum())
