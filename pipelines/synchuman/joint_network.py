"""The joint network: a U-Net over ten pictures and a transformer over a latent grid, coupled at four places."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn

from pipelines.synchuman.configuration import JointConfig
from pipelines.synchuman.embeddings import TimeEmbedder, grid_coords, patchify, position_code, unpatchify
from pipelines.synchuman.levels import DownLevel, MiddleLevel, UpLevel
from pipelines.synchuman.modulated_block import ModulatedCrossBlock
from pipelines.synchuman.multiview_transformer import MultiviewTransformer
from pipelines.synchuman.synchronisation import PicturesToVoxels, VoxelsToPictures

Watch = Callable[[str, Tensor], None]
COUPLINGS = ("2d_to_3d_0", "3d_to_2d_0", "3d_to_2d_1", "2d_to_3d_1")  # in the order they act


class JointNetwork(nn.Module):
    """Velocities of ten latent pictures and one latent grid at a shared time.

    Batches: pictures are (domain, half, view) with 10 items per guidance half, grids one per half. Halves do not
    touch one another, so they may run together or apart.
    """

    def __init__(self, config: JointConfig) -> None:
        super().__init__()
        self.config = config
        self._build_pictures(config)
        self._build_grid(config)
        sizes = (config.width, config.sync_heads, config.sync_head_width)
        tokens, reads = config.grid // config.patch, (config.channels[1], config.channels[3])
        self.dual_CrossAttblocks_SS = nn.ModuleList(PicturesToVoxels(c, *sizes, tokens) for c in reads)
        writes, side = config.channels[2:], config.side // 8
        self.dual_CrossAttblocks_MV = nn.ModuleList(VoxelsToPictures(c, *sizes, side) for c in writes)

    def _build_pictures(self, config: JointConfig) -> None:
        channels, heads, time, groups = config.channels, config.heads, config.time_width, config.groups

        def transformer(level: int) -> MultiviewTransformer:
            blend = config.quirks.face_blend
            return MultiviewTransformer(channels[level], heads[level], config.text, groups, blend, config.face_share)

        def transformers(level: int, count: int) -> list[MultiviewTransformer] | None:
            return None if level == 3 else [transformer(level) for _ in range(count)]

        self.conv_in = nn.Conv2d(2 * config.latent_channels, channels[0], 3, padding=1)
        self.time_proj = Timesteps(channels[0], True, 0)
        self.time_embedding = TimestepEmbedding(channels[0], time)
        self.class_embedding = TimestepEmbedding(config.label, time)
        self.down_blocks = nn.ModuleList(
            DownLevel(
                channels[max(i - 1, 0)],
                channels[i],
                time,
                config.layers,
                groups,
                transformers(i, config.layers),
                i == 3,
            )
            for i in range(4)
        )
        self.mid_block = MiddleLevel(channels[3], time, groups, transformer(3))
        self.up_blocks = nn.ModuleList(
            UpLevel(_up_inputs(channels, i, config.layers + 1), channels[i], time, groups, blocks, i == 0)
            for i, blocks in ((i, transformers(i, config.layers + 1)) for i in (3, 2, 1, 0))
        )
        self.conv_norm_out = nn.GroupNorm(groups, channels[0], 1e-5)
        self.conv_out = nn.Conv2d(channels[0], config.latent_channels, 3, padding=1)

    def _build_grid(self, config: JointConfig) -> None:
        channels = config.grid_channels * config.patch**3
        self.t_embedder = TimeEmbedder(config.width)
        self.input_layer = nn.Linear(channels, config.width)
        self.register_buffer("pos_emb", position_code(grid_coords(config.grid // config.patch), config.width))
        self.blocks = nn.ModuleList(
            ModulatedCrossBlock(config.width, config.context, config.grid_heads, config.ratio)
            for _ in range(config.depth)
        )
        self.out_layer = nn.Linear(config.width, channels)

    def forward(
        self,
        pictures: Tensor,
        grid: Tensor,
        time: Tensor,
        time_3d: Tensor,
        text: Tensor,
        labels: Tensor,
        context: Tensor,
        watch: Watch | None = None,
        without: Collection[str] = (),
    ) -> tuple[Tensor, Tensor]:
        """One evaluation.

        pictures (items, 8, side, side): noisy latents, then image latents. grid (halves, 8, V, V, V). time, time_3d:
        (1,) network times, 1000 t. text (items, T, text). labels (items, label). context (halves, K, context).
        `watch` sees the named states on the way. `without` leaves out some of `COUPLINGS`, to see what they do.
        Returns velocities (items, 4, side, side), (halves, 8, V, V, V), on the network's device and in its type;
        inputs may lie elsewhere.
        """
        if pictures.shape[-1] != self.config.side or len(pictures) != 10 * len(grid):
            raise ValueError(
                f"The joint network came with pictures {tuple(pictures.shape)} and {len(grid)} grids; it needs ten "
                f"pictures per grid, {self.config.side} wide."
            )
        if unknown := set(without) - set(COUPLINGS):
            raise ValueError(f"There is no coupling {sorted(unknown)}; known are {', '.join(COUPLINGS)}.")
        see = watch or (lambda name, value: None)
        like = self.conv_in.weight
        pictures, grid, text, labels, context = (x.to(like) for x in (pictures, grid, text, labels, context))
        time, time_3d = time.to(like.device), time_3d.to(like.device)
        emb, time_3d_emb = self._embed(len(pictures), time, labels, see), self.t_embedder(time_3d)
        see("t3_emb", time_3d_emb)
        patches = patchify(grid, self.config.patch)
        tokens = self.input_layer(patches.flatten(2).transpose(1, 2)) + self.pos_emb
        tokens = self._run(0, tokens, time_3d_emb, context, see)
        x = self.conv_in(pictures)
        kept = [x]
        for i, level in enumerate(self.down_blocks):
            x, more = level(x, emb, text)
            kept += more  # before the voxels change the map: the way up sees the unchanged one
            if i == 1:
                see("s_down1", x)
                tokens = tokens if "2d_to_3d_0" in without else self.dual_CrossAttblocks_SS[0](x, tokens)
                see("h_after_sync_2d_to_3d_0", tokens)
            elif i == 2:
                x = x if "3d_to_2d_0" in without else self.dual_CrossAttblocks_MV[0](x, tokens)
                see("s_after_sync_3d_to_2d_0", x)
        x = self.mid_block(x, emb, text)
        see("s_mid", x)
        tokens = self._run(1, tokens, time_3d_emb, context, see)
        x = x if "3d_to_2d_1" in without else self.dual_CrossAttblocks_MV[1](x, tokens)
        see("s_after_sync_3d_to_2d_1", x)
        x = self.up_blocks[0](x, kept, emb, text)
        tokens = tokens if "2d_to_3d_1" in without else self.dual_CrossAttblocks_SS[1](x, tokens)
        see("h_after_sync_2d_to_3d_1", tokens)
        for level in self.up_blocks[1:]:
            x = level(x, kept, emb, text)
        velocity = self.conv_out(F.silu(self.conv_norm_out(x)))
        tokens = self._run(2, tokens, time_3d_emb, context, see)
        return velocity, self._grid_head(tokens, patches)

    def _embed(self, items: int, time: Tensor, labels: Tensor, see: Watch) -> Tensor:
        dtype = self.time_embedding.linear_1.weight.dtype
        emb = self.time_embedding(self.time_proj(time).to(dtype)).expand(items, -1)
        label = self.class_embedding(labels)
        see("time_emb", emb)
        see("class_emb", label)
        return emb + label

    def _run(self, group: int, tokens: Tensor, time: Tensor, context: Tensor, see: Watch) -> Tensor:
        start = 0 if group == 0 else self.config.block_groups[group - 1]
        for block in self.blocks[start : self.config.block_groups[group]]:
            tokens = block(tokens, time, context)
        see(f"h_group{group + 1}", tokens)
        return tokens

    def _grid_head(self, tokens: Tensor, patches: Tensor) -> Tensor:
        out = self.out_layer(F.layer_norm(tokens.float(), tokens.shape[-1:], eps=1e-5).to(tokens.dtype))
        return unpatchify(out.transpose(1, 2).reshape(patches.shape), self.config.patch)


def _up_inputs(channels: tuple[int, ...], level: int, layers: int) -> list[int]:
    """Channels that the resnets of an up level see: the map so far and the kept map of the way down."""
    before = channels[min(level + 1, 3)]
    return [
        (before if i == 0 else channels[level]) + (channels[level] if i < layers - 1 else channels[max(level - 1, 0)])
        for i in range(layers)
    ]
