"""Rendering losses: the corrected layers drawn from the sides of the person, beside the true pictures from there.

A depth that is right on average can still be a person who looks wrong from the side, where front and back are seen
edge on; this loss looks at the person as the evaluation does. The Gaussians are those of the decoder `layers2` at raw
output zero, with the answer's depths and colours, and a wall along the outline so that a side is closed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.geometry.splat_raster import rasterise
from pipelines.hgm.layer_input import place_of
from pipelines.hgm.layer_network import LayerAnswer
from pipelines.hgm.layers2 import LAYER_CHANNELS, LayerAnchor, decode_layers
from training.hgm.losses import Weights, predicted_depth

WALL = 5  # points of a wall from the front to the back of one pixel of the outline
WALL_OPACITY = 0.9
SMALL = 0.7  # of the decoder's sizes: pictures of 96 pixels show every Gaussian's rim
BLUR = 0.05  # variance of the pixel, pixels squared; the usual 0.3 widens an arm of six pixels by two
NEAREST = 0.05  # crop heights before the camera: no depth may come nearer


@dataclass(frozen=True)
class SideViews:
    """Of some people: rgba (B, n, S, S, 4) 0..1 straight; K (B, n, 3, 3), pose (B, n, 4, 4) as in `samples.Sample`;
    crop_K (B, 3, 3) of the channels' camera; pelvis (B,) its depth, crop heights."""

    rgba: Tensor
    K: Tensor
    pose: Tensor
    crop_K: Tensor
    pelvis: Tensor

    def mirrored(self, which: Tensor, width: int) -> SideViews:
        """The same people (B,) of `which` in a mirror; width: of the crop in pixels."""
        pick = which[:, None, None]
        flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
        return SideViews(
            torch.where(pick[..., None, None], self.rgba.flip(3), self.rgba),
            torch.where(pick[..., None], _turned(self.K, self.rgba.shape[3]), self.K),
            torch.where(pick[..., None], flip @ self.pose @ flip, self.pose),
            torch.where(pick, _turned(self.crop_K, width), self.crop_K),
            self.pelvis,
        )

    def recoloured(self, gain: Tensor, order: Tensor) -> SideViews:
        """Channels (B, 3) in another order, then times gain (B, 3, 1, 1): what the batch does to the photo."""
        rows = torch.arange(len(order))[:, None]
        rgb = self.rgba[..., :3].movedim(-1, 1)[rows, order].movedim(1, -1)
        rgb = (rgb * gain[:, None, None, None, :, 0, 0]).clamp(0, 1)
        return SideViews(torch.cat([rgb, self.rgba[..., 3:]], -1), self.K, self.pose, self.crop_K, self.pelvis)


def _turned(K: Tensor, width: int) -> Tensor:
    """Intrinsics (..., 3, 3) of the mirrored picture."""
    turned = K.clone()
    turned[..., 0, 2] = width - K[..., 0, 2]
    turned[..., 0, 1] = -K[..., 0, 1]
    return turned


def side_losses(
    channels: Tensor, answer: LayerAnswer, known: Tensor, sides: SideViews, weights: Weights
) -> dict[str, Tensor]:
    """Squared errors of outline (alpha) and of colour on white, means over people, views and pixels, weighted."""
    outline, colour = [], []
    depth = predicted_depth(channels, answer)
    front_rgb = (channels[:, place_of("rgb")].float() + 1) / 2
    back_rgb = answer.back_rgb(channels)
    for k in range(len(channels)):
        if not bool(known[k].any()):
            continue
        person = gaussians(depth[k], front_rgb[k], back_rgb[k], known[k], sides.crop_K[k], sides.pelvis[k])
        for rgba, K, pose in zip(sides.rgba[k], sides.K[k], sides.pose[k], strict=True):
            picture = draw(person, K, pose, rgba.shape[1], rgba.shape[0])
            wanted = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
            outline.append((picture[..., 3] - rgba[..., 3]).square().mean())
            colour.append((picture[..., :3] - wanted).square().mean())
    if not outline:
        return {"outline": depth.new_zeros(()), "look": depth.new_zeros(())}
    return {
        "outline": weights.outline * torch.stack(outline).mean(),
        "look": weights.look * torch.stack(colour).mean(),
    }


def gaussians(depth: Tensor, front_rgb: Tensor, back_rgb: Tensor, mask: Tensor, K: Tensor, pelvis: Tensor) -> Tensor:
    """(N, 14) Gaussians of one person in the crop camera's frame, crop heights.

    depth (2, H, W) from the pelvis; colours (3, H, W) 0..1; mask (H, W); K (3, 3); pelvis: its depth.
    """
    front, back = (depth + pelvis).clamp(min=NEAREST)
    anchor = LayerAnchor(front[None], back[None], mask[None], front_rgb[None], back_rgb[None])
    raw = depth.new_zeros(1, 2 * LAYER_CHANNELS, *mask.shape)
    shells, _ = decode_layers(raw, anchor, K[None], torch.eye(4)[None])
    inner = F.max_pool2d((~mask)[None, None].float(), 3, 1, 1)[0, 0] < 0.5
    rim = mask & ~inner
    rows, columns = torch.nonzero(rim, as_tuple=True)
    ray = torch.stack([columns + 0.5, rows + 0.5, torch.ones_like(rows)], -1).float() @ torch.linalg.inv(K).T
    near, far = front[rim], back[rim]
    share = (torch.arange(WALL) + 0.5) / WALL
    at = near[:, None] + share * (far - near)[:, None]
    points = (ray[:, None] * at[..., None]).reshape(-1, 3)
    step = (at / K[0, 0]).reshape(-1, 1)
    size = 0.5 * torch.maximum(step, ((far - near).abs()[:, None] / WALL).expand(-1, WALL).reshape(-1, 1))
    # Thickness along the ray follows the gap; across it the wall is a pixel thin.
    scales = torch.cat([0.5 * step, 0.5 * step, size], 1)
    tint = front_rgb[:, rim].T[:, None] * (1 - share[:, None]) + back_rgb[:, rim].T[:, None] * share[:, None]
    turn = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(len(points), 4)
    solid = torch.full((len(points), 1), WALL_OPACITY)
    return torch.cat([shells, torch.cat([points, solid, scales, turn, tint.reshape(-1, 3)], 1)])


def draw(person: Tensor, K: Tensor, pose: Tensor, width: int, height: int) -> Tensor:
    """(height, width, 4): colour on white, and alpha."""
    image = rasterise(
        person[:, :3], person[:, 7:11], SMALL * person[:, 4:7], person[:, 3], person[:, 11:14], pose, K, width, height,
        background=torch.ones(3), blur=BLUR,
    )  # fmt: skip
    return torch.cat([image.features, image.alpha[..., None]], -1)
