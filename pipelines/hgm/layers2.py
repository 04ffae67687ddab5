"""The decoder `layers2`: two Gaussians per pixel of the person, anchored on the body's first and last surface.

With raw output zero it draws the anchors with the colours they bring: a trained network starts from there.
Raw channels of one layer: depth 1, opacity 1, log scale 2, tilt 2, gate 1, own colour 3; front first, then back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LAYER_CHANNELS = 10
OPAQUE = 5.0  # logit of the opacity at raw output zero
SPREAD = 0.42  # standard deviation over the distance to the neighbour's point; below 0.35 the side shows holes
THICKNESS = 0.2  # standard deviation across the surface, pixels
JUMP = 6.0  # a step in depth of more than this many pixels is an edge, not a slope


@dataclass(frozen=True)
class LayerAnchor:
    """What the layers hang on. front, back: (V, H, W) camera depth in network units; mask: (V, H, W) bool;
    front_colour, back_colour: (V, 3, H, W) RGB 0..1; reach: most that the depth may move, network units."""

    front: Tensor
    back: Tensor
    mask: Tensor
    front_colour: Tensor
    back_colour: Tensor
    reach: float = 0.2


@dataclass(frozen=True)
class BodyAnchor:
    """Gaussians on the body's vertices before the network speaks: quats (M, 4) wxyz, scales (M, 3), colours (M, 3)."""

    quats: Tensor
    scales: Tensor
    colours: Tensor


def decode_layers(raw: Tensor, anchor: LayerAnchor, K: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
    """raw (V, 20, H, W), K (V, 3, 3), view (V, 4, 4) row-vector world to OpenCV camera -> Gaussians, their pixels.

    Gaussians (N, 14) in network units: all front ones of the mask (view, row, column), then all back ones.
    Pixels (N,): flat index into (V, H, W).
    """
    sets = []
    for k, (depth, colour) in enumerate(
        ((anchor.front, anchor.front_colour), (anchor.back, anchor.back_colour)),
    ):
        part = raw[:, k * LAYER_CHANNELS : (k + 1) * LAYER_CHANNELS]
        sets.append(_decode_layer(part, depth + anchor.reach * part[:, 0].tanh(), colour, anchor.mask, K, view))
    pixels = torch.nonzero(anchor.mask.flatten()).flatten()
    return torch.cat(sets), pixels.repeat(2)


def _decode_layer(raw: Tensor, depth: Tensor, colour: Tensor, mask: Tensor, K: Tensor, view: Tensor) -> Tensor:
    ray = _rays(depth, K)
    points = ray * depth[..., None]
    step = depth / K[:, 0, 0, None, None]
    along_x = _slope(points, depth, mask, ray, step, axis=2)
    along_y = _slope(points, depth, mask, ray, step, axis=1)
    channel = raw.permute(0, 2, 3, 1)[mask]
    ray, points, step = ray[mask], points[mask], step[mask][:, None]
    sight = F.normalize(ray, dim=-1)
    along_x = (along_x[mask] + channel[:, 4:5] * step * sight) * channel[:, 2:3].exp() * SPREAD
    along_y = (along_y[mask] + channel[:, 5:6] * step * sight) * channel[:, 3:4].exp() * SPREAD
    axes, scales = flat_gaussian(along_x, along_y, THICKNESS * step)
    number = torch.nonzero(mask)[:, 0]
    to_world = view[:, :3, :3].transpose(1, 2)[number]
    world = ((points - view[number, 3, :3])[:, None] @ to_world)[:, 0]
    # Row vectors: a camera axis a is the world axis a @ R^T, so columns turn by R.
    quats = quaternion(view[:, :3, :3][number] @ axes)
    shown = colour.permute(0, 2, 3, 1)[mask]
    own = 0.5 + 0.5 * channel[:, 7:10].tanh()
    mixed = (shown + channel[:, 6:7].tanh() * (own - shown)).clamp(0, 1)
    return torch.cat([world, (channel[:, 1:2] + OPAQUE).sigmoid(), scales, quats, mixed], 1)


def _rays(depth: Tensor, K: Tensor) -> Tensor:
    """(V, H, W, 3) camera directions of the pixel centres, scaled to z = 1."""
    _, rows, columns = depth.shape
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    homogeneous = torch.stack([x + 0.5, y + 0.5, torch.ones_like(x)], -1).to(depth)
    return homogeneous @ torch.linalg.inv(K).transpose(1, 2)[:, None]


def _slope(points: Tensor, depth: Tensor, mask: Tensor, ray: Tensor, step: Tensor, axis: int) -> Tensor:
    """(V, H, W, 3) from a point to its neighbour along an axis: the one with the smaller step in depth.

    Where neither neighbour is on the same surface, the step of a surface that faces the camera.
    """
    best = torch.full_like(depth, torch.inf)
    slope = torch.zeros_like(points)
    for shift in (-1, 1):
        near = torch.roll(points, -shift, axis)
        jump = (torch.roll(depth, -shift, axis) - depth).abs()
        valid = torch.roll(mask, -shift, axis).clone()
        valid.select(axis, -1 if shift == 1 else 0).fill_(False)
        jump = torch.where(valid, jump, torch.inf).detach()
        chosen = (jump < best) & (jump <= JUMP * step.detach())
        best = torch.where(chosen, jump, best)
        slope = torch.where(chosen[..., None], (near - points) * shift, slope)
    across = torch.zeros_like(points)
    across[..., 0 if axis == 2 else 1] = step
    return torch.where(torch.isfinite(best)[..., None], slope, across)


def flat_gaussian(first: Tensor, second: Tensor, thickness: Tensor) -> tuple[Tensor, Tensor]:
    """Axes (N, 3, 3) in columns and scales (N, 3) of the covariance a a^T + b b^T + t^2 I.

    first, second: (N, 3) tangents a, b; thickness: (N, 1). Closed form: the tangent plane's 2x2 eigenproblem.
    """
    normal = F.normalize(torch.cross(first, second, dim=-1), dim=-1)
    e1 = F.normalize(first, dim=-1)
    e2 = torch.cross(normal, e1, dim=-1)
    a, b, c = (first * e1).sum(-1), (second * e1).sum(-1), (second * e2).sum(-1)
    xx, xy, yy = a * a + b * b, b * c, c * c
    # A round one has no long axis: any angle is right, and none has a slope to hand on.
    round_one = (xx - yy) ** 2 + 4 * xy * xy <= (1e-6 * (xx + yy)) ** 2
    angle = 0.5 * torch.atan2(torch.where(round_one, 0.0, 2 * xy), torch.where(round_one, 1.0, xx - yy))[:, None]
    major, minor = e1 * angle.cos() + e2 * angle.sin(), e2 * angle.cos() - e1 * angle.sin()
    middle, half = (xx + yy) / 2, torch.sqrt(((xx - yy) / 2) ** 2 + xy * xy + 1e-24)
    variances = torch.stack([middle + half, (middle - half).clamp(min=0), torch.zeros_like(xx)], 1)
    return torch.stack([major, minor, normal], -1), torch.sqrt(variances + thickness**2)


def quaternion(rotation: Tensor) -> Tensor:
    """(N, 3, 3) rotation matrices -> (N, 4) unit quaternions wxyz, by the largest of the four components."""
    m = rotation
    diagonal = m.diagonal(dim1=1, dim2=2)
    x, y, z = diagonal.unbind(1)
    squares = torch.stack([1 + x + y + z, 1 + x - y - z, 1 - x + y - z, 1 - x - y + z], 1)
    rows = torch.stack(
        [
            torch.stack([squares[:, 0], m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]], 1),
            torch.stack([m[:, 2, 1] - m[:, 1, 2], squares[:, 1], m[:, 1, 0] + m[:, 0, 1], m[:, 0, 2] + m[:, 2, 0]], 1),
            torch.stack([m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] + m[:, 0, 1], squares[:, 2], m[:, 2, 1] + m[:, 1, 2]], 1),
            torch.stack([m[:, 1, 0] - m[:, 0, 1], m[:, 0, 2] + m[:, 2, 0], m[:, 2, 1] + m[:, 1, 2], squares[:, 3]], 1),
        ],
        1,
    )
    best = squares.argmax(1)
    return F.normalize(rows[torch.arange(len(m), device=m.device), best], dim=-1)


def decode_body(raw: Tensor, vertices: Tensor, anchor: BodyAnchor) -> Tensor:
    """raw (M, 14) and vertices (M, 3) in network units -> (M, 14): the anchor's Gaussians, moved at most 0.1 units.

    At raw output zero they are almost transparent: the layers stand alone until training opens them.
    """
    own = 0.5 + 0.5 * raw[:, 11:14].tanh()
    colour = (anchor.colours + raw[:, 10:11].tanh() * (own - anchor.colours)).clamp(0, 1)
    return torch.cat(
        [
            vertices + 0.1 * raw[:, :3].tanh(),
            (raw[:, 3:4] - OPAQUE).sigmoid(),
            anchor.scales * raw[:, 4:7].clamp(-3, 3).exp(),
            F.normalize(anchor.quats + F.pad(raw[:, 7:10], (1, 0)), dim=-1),
            colour,
        ],
        1,
    )


def adjust(gaussians: Tensor, residual: Tensor) -> Tensor:
    """(N, 14) Gaussians and (N, 14) residuals -> (N, 14); a residual of zero changes nothing but rounding."""
    opacity = gaussians[:, 3:4].clamp(1e-6, 1 - 1e-6)
    return torch.cat(
        [
            gaussians[:, :3] + 0.05 * residual[:, :3].tanh(),
            (torch.logit(opacity) + residual[:, 3:4]).sigmoid(),
            gaussians[:, 4:7] * residual[:, 4:7].clamp(-3, 3).exp(),
            F.normalize(gaussians[:, 7:11] + residual[:, 7:11], dim=-1),
            (gaussians[:, 11:14] + 0.5 * residual[:, 11:14].tanh()).clamp(0, 1),
        ],
        1,
    )
