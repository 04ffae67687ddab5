"""One HGM network: pictures and a body in, three sets of Gaussians out.

Pictures -> image set (one or two Gaussians per pixel). Body vertices look at the pictures -> body set. Its positions
fill a sparse volume, which the image set samples; a last network turns both into the fused set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.geometry.sparse_conv import SparseGrid, duplicate_share
from pipelines.hgm import gaussians
from pipelines.hgm.cameras import picture_places, project, sample_picture
from pipelines.hgm.compact_heads import VertexHead, WindowMixer
from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.image_encoder import ImageEncoder
from pipelines.hgm.layers2 import BodyAnchor, LayerAnchor, adjust, decode_body, decode_layers
from pipelines.hgm.sparse_volume import SparseVolume
from pipelines.hgm.token_attention import TokenAttention
from pipelines.hgm.unet import UNet
from pipelines.hgm.voxelise import VoxelBox, voxelise

PATCHES = 16  # per side: what tokens attend to in the sound form

Watch = Callable[[str, Tensor], None]


@dataclass(frozen=True)
class HgmInput:
    """What a network looks at, network frame.

    pictures (V, C, S, S): normalised RGB, rays, then (compact) alpha and body maps; vertices (M, 3); K (V, 3, 3)
    pixels of the pictures; view (V, 4, 4) row-vector world to OpenCV camera. layers, body: anchors (compact only).
    """

    pictures: Tensor
    vertices: Tensor
    K: Tensor
    view: Tensor
    layers: LayerAnchor | None = None
    body: BodyAnchor | None = None


@dataclass(frozen=True)
class HgmOutput:
    """Three sets (N, 14) as in `gaussians`; the voxels; the share of rows that fall into an occupied voxel.

    Order of the image and the fused set: view, row, column (released), front layer then back layer (compact; the
    fused set then ends with the body set).
    """

    image: Tensor
    body: Tensor
    fused: Tensor
    grid: SparseGrid
    box: VoxelBox
    repeated_voxels: float = field(default=0.0)


class HgmNetwork(nn.Module):
    """The network of one configuration. Names of the sub-modules are the keys of the released weights."""

    def __init__(self, config: HgmConfig) -> None:
        super().__init__()
        self.config = config
        quirks = config.quirks
        self.unet = UNet(2, config.in_channels, config.raw_channels, config.unet, quirks)
        self.conv = nn.Conv2d(config.raw_channels, config.raw_channels, 1)
        self.unet2 = ImageEncoder(config.in_channels, config.features, config.encoder, config.encoder_blocks)
        self.c = nn.Embedding(config.tokens, config.code_dim)
        self.xyzc_attn = TokenAttention(config.code_dim, config.features, config.code_heads)
        self.xyzc_net = SparseVolume(config.code_dim, config.volume_levels, quirks.full_resolution_grid)
        self.net: nn.Module
        self.res: nn.Module
        if config.body_net is None:
            self.net = VertexHead(config.body_channels)
        else:
            self.net = UNet(1, config.body_channels, 14, config.body_net, quirks)
        if config.mix_net is None:
            self.res = WindowMixer(config.mix_channels)
        else:
            self.res = UNet(1, config.mix_channels, 14, config.mix_net, quirks)
        if not quirks.attend_views_only:
            # A learned token does not know where the posed body has put its vertex; this tells it.
            self.place = nn.Linear(3, config.code_dim)
            self.local = nn.Linear(config.features, config.code_dim)
        if config.decoder == "layers2":
            if config.code_dim != config.gaussian_features:
                raise ValueError(
                    "The anchored decoder mixes layers and tokens: code_dim must be the U-Net's last width."
                )
            nn.init.zeros_(self.conv.weight)
            assert self.conv.bias is not None
            nn.init.zeros_(self.conv.bias)

    def forward(
        self, given: HgmInput, watch: Watch | None = None, progress: Callable[[float, str], None] | None = None
    ) -> HgmOutput:
        """One person, V views. watch: sees intermediates by name; progress: fraction and what comes next.

        ValueError when the shapes do not fit the configuration.
        """
        self._check(given)
        seen: Watch = watch or (lambda name, value: None)
        tell: Callable[[float, str], None] = progress or (lambda fraction, message: None)
        tell(0.0, "Gaussians of the pixels")
        raw, features = self.unet(given.pictures, views=len(given.pictures))
        seen("unet_raw", raw)
        seen("unet_feats", features)
        raw = self.conv(raw)
        seen("conv_out", raw)
        image, described = self._image_set(raw, features, given)
        seen("gaussians_image", image)
        tell(0.35, "Image features at the body")
        pictures = self.unet2(given.pictures)
        seen("image_features", pictures)
        first = self.read_tokens(pictures, given.vertices, given)
        seen("tokens_1", first)
        tell(0.45, "Gaussians of the body")
        body = self._body_set(torch.cat([given.vertices, first], 1), given, seen)
        seen("gaussians_body", body)
        second = self.read_tokens(pictures, body[:, :3], given)
        seen("tokens_2", second)
        tell(0.6, "Volume around the body")
        grid, box = voxelise(body[:, :3], self.config.voxel, self.config.quirks.clamp_voxels)
        levels = self.xyzc_net(second, grid)
        if self.config.decoder == "layers2":
            image_and_body = torch.cat([image, body])
            described = torch.cat([described, second])
        else:
            image_and_body = image
        sampled = self.xyzc_net.sample(levels, box, image_and_body[:, :3])
        seen("volume_samples", sampled)
        tell(0.7, "Both together")
        mixed = torch.cat([image_and_body[:, :3], described, sampled], 1)
        seen("mix_in", mixed)
        fused = self._fused_set(mixed, image_and_body, seen)
        seen("gaussians_fused", fused)
        tell(1.0, "")
        return HgmOutput(image, body, fused, grid, box, duplicate_share(grid))

    def image_alone(self, given: HgmInput) -> Tensor:
        """The image set (N, 14) of `forward`, without the work on the body. ValueError as there."""
        self._check(given)
        raw, features = self.unet(given.pictures, views=len(given.pictures))
        return self._image_set(self.conv(raw), features, given)[0]

    def read_tokens(self, pictures: Tensor, points: Tensor, given: HgmInput) -> Tensor:
        """Image features (V, C, h, w) as the tokens at points (M, 3) read them -> (M, code_dim)."""
        quirks = self.config.quirks
        height, width = given.pictures.shape[-2:]
        pixels, _ = project(points, given.K, given.view)
        local = sample_picture(pictures, picture_places(pixels, width, height, quirks.half_pixel_samples)).permute(
            2, 0, 1
        )
        if quirks.attend_views_only:
            return self.xyzc_attn(self.c.weight[:, None], local)[0][:, 0]
        patches = F.adaptive_avg_pool2d(pictures, (PATCHES, PATCHES)).permute(0, 2, 3, 1)
        query = self.c.weight + self.place(points)
        return self.xyzc_attn(query[None], patches.reshape(1, -1, pictures.shape[1]))[0][0] + self.local(local.mean(1))

    def _image_set(self, raw: Tensor, features: Tensor, given: HgmInput) -> tuple[Tensor, Tensor]:
        """Gaussians (N, 14) and the features (N, C) that go with them."""
        channels = features.shape[1]
        if given.layers is not None:
            made, pixels = decode_layers(raw, given.layers, given.K, given.view)
            return made, features.permute(0, 2, 3, 1).reshape(-1, channels)[pixels]
        made = gaussians.image_set(raw.permute(0, 2, 3, 1).reshape(-1, raw.shape[1]))
        if self.config.quirks.interleave_views:
            return made, features.reshape(channels, -1).T
        return made, features.permute(0, 2, 3, 1).reshape(-1, channels)

    def _body_set(self, x: Tensor, given: HgmInput, seen: Watch) -> Tensor:
        raw = self.net(x) if self.config.body_net is None else self.net(x.T[None])[0][0].T
        seen("body_raw", raw)
        if given.body is not None:
            return decode_body(raw, given.vertices, given.body)
        return gaussians.body_set(raw, given.vertices)

    def _fused_set(self, mixed: Tensor, image: Tensor, seen: Watch) -> Tensor:
        raw = self.res(mixed) if self.config.mix_net is None else self.res(mixed.T[None])[0][0].T
        seen("mix_out", raw)
        if self.config.decoder == "layers2":
            return adjust(image, raw)
        return gaussians.fused_set(raw, image[:, :3])

    def _check(self, given: HgmInput) -> None:
        wanted, anchored = self.config.in_channels, self.config.decoder == "layers2"
        if given.pictures.ndim != 4 or given.pictures.shape[1] != wanted:
            raise ValueError(
                f"HGM '{self.config.name}' came with pictures {tuple(given.pictures.shape)}; it needs (V, {wanted}, S, S)."
            )
        if given.vertices.shape != (self.config.tokens, 3):
            raise ValueError(
                f"HGM '{self.config.name}' came with vertices {tuple(given.vertices.shape)}; "
                f"its tokens need ({self.config.tokens}, 3)."
            )
        if anchored != (given.layers is not None) or anchored != (given.body is not None):
            raise ValueError(
                f"HGM '{self.config.name}' decodes '{self.config.decoder}'; "
                f"it needs {'both anchors, of the layers and of the body' if anchored else 'no anchors'}."
            )
