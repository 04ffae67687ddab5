"""What the four whole views show, as feature maps for the decoders, and a preset's decoders on them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipelines.synchuman.configuration import TokenConfig
from pipelines.synchuman.image_tokens import MAP_LAYERS
from pipelines.synchuman.lending import Lender
from pipelines.synchuman.records import SlatSample, TenPictures, VoxelSet
from pipelines.synchuman.view_pictures import as_batch, for_encoder
from pipelines.synchuman.voxels import Voxels

WHOLE_VIEWS = 4


def map_layers(config: TokenConfig, count: int) -> tuple[int, ...]:
    """The encoder's blocks whose outputs make one map: the released ones, or the last of a smaller encoder."""
    return MAP_LAYERS if config.depth > MAP_LAYERS[-1] else tuple(range(config.depth - count, config.depth))


def view_maps(pictures: TenPictures, lender: Lender) -> tuple[Tensor, Tensor]:
    """Colour and normal maps (4, M, M, layers * width) on the lender's device, M cells to the side of the voxels."""
    decoder, side = lender.config.decoder, pictures.colours.shape[1]
    made = []
    with lender.network("dinov2") as encoder:
        layers = map_layers(encoder.config, decoder.layers)
        for k, stack in enumerate((pictures.colours, pictures.normals)):
            batch = for_encoder(as_batch(list(stack[:WHOLE_VIEWS]), side), encoder.config.patch * decoder.resolution)
            maps = []
            for i, picture in enumerate(batch):  # one at a time: attention over thousands of tokens
                maps.append(encoder.maps(picture[None].to(lender.device), layers))
                lender.ctx.progress(0.05 + 0.05 * (WHOLE_VIEWS * k + i), "what the views show")
            made.append(torch.cat(maps))
    return made[0], made[1]


def on_device(filled: VoxelSet, slat: SlatSample, lender: Lender) -> tuple[Tensor, Voxels]:
    """Latents (1, N, 8) and their voxels on the lender's device."""
    coords = torch.from_numpy(filled.coords.astype(np.int64)).to(lender.device)
    return torch.from_numpy(slat.latents)[None].to(lender.device), Voxels(coords, filled.side)
