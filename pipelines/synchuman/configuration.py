"""Shapes and switches of the SyncHuman networks: the released ones, a tiny stand-in, and a compact one to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipelines.step import UserError

ViewMode = Literal["4_view", "front&back", "front", "no"]


@dataclass(frozen=True)
class Quirks:
    """What the released weights were trained with and nobody would choose again; True or a number reproduces it."""

    face_blend: float = 0.5
    """Share of the face view that every cross-domain attention mixes into the front view; without it the weights break."""
    round_time_3d: bool = True
    """The 3D branch's time is rounded to float16; 0.03 on the grid after three steps."""
    downsample_includes_zero: bool = True
    """Sparse down-sampling divides by count + 1: the initial zero counts as a member."""
    conv1x1_reinterpret: bool = True
    """Sparse 1x1x1 convolutions read the memory of their (out, in) weight as (in, out) without a transpose."""
    legacy_rounding: bool = True
    """The crop of the person loses its last row and column, and pictures are cut to 8 bits downwards."""


@dataclass(frozen=True)
class JointConfig:
    """The joint network. Every side hangs on `side`: maps of side, side/2, side/4, side/8."""

    name: str
    side: int = 96
    """Latent picture; the canvas is 8 times as large."""
    channels: tuple[int, int, int, int] = (320, 640, 1280, 1280)
    heads: tuple[int, int, int, int] = (5, 10, 20, 20)
    layers: int = 2
    latent_channels: int = 4
    text: int = 1024
    label: int = 2048
    groups: int = 32
    grid: int = 16
    grid_channels: int = 8
    patch: int = 1
    width: int = 1024
    depth: int = 24
    grid_heads: int = 16
    ratio: float = 4
    context: int = 1024
    block_groups: tuple[int, int, int] = (8, 16, 24)
    """Ends of the three runs of 3D blocks between the U-Net's stages."""
    sync_heads: int = 16
    sync_head_width: int = 64
    face_share: int = 3
    """The face box is the middle 1/face_share of the top 1/face_share."""
    quirks: Quirks = field(default_factory=Quirks)

    def __post_init__(self) -> None:
        if self.block_groups[-1] != self.depth or list(self.block_groups) != sorted(self.block_groups):
            raise ValueError(f"Block groups {self.block_groups} must rise to the depth {self.depth}.")
        if self.side % (8 * self.face_share if self.quirks.face_blend else 8):
            raise ValueError(f"A latent side of {self.side} cannot be halved three times with a face box in each map.")
        if self.grid % self.patch:
            raise ValueError(f"A grid of {self.grid} does not divide into patches of {self.patch}.")

    @property
    def time_width(self) -> int:
        """Width of the time and class embedding of the 2D branch."""
        return 4 * self.channels[0]


@dataclass(frozen=True)
class OccupancyConfig:
    """The decoder of the latent grid: three levels, each twice as fine as the one before."""

    latent_channels: int = 8
    channels: tuple[int, ...] = (512, 128, 32)
    blocks: int = 2
    middle_blocks: int = 2


@dataclass(frozen=True)
class SlatFlowConfig:
    """The flow transformer of the structured latents."""

    resolution: int = 64
    channels: int = 8
    width: int = 1024
    context: int = 1024
    depth: int = 24
    heads: int = 16
    ratio: float = 4
    io_channels: tuple[int, ...] = (128,)
    io_blocks: int = 2
    quirks: Quirks = field(default_factory=Quirks)


@dataclass(frozen=True)
class SlatDecoderConfig:
    """The transformer that both decoders share."""

    resolution: int = 64
    channels: int = 8
    width: int = 768
    depth: int = 12
    heads: int = 12
    ratio: float = 4
    window: int = 8
    features: int = 1024
    """Width of the lifted features of one view."""
    layers: int = 4
    """Image-encoder layers in one map: the maps have layers * features channels."""
    mode: ViewMode = "4_view"
    colours: bool = True
    """The mesh decoder's head has six more channels per corner."""
    quirks: Quirks = field(default_factory=Quirks)


@dataclass(frozen=True)
class SlatSampling:
    """How the structured latents are drawn. Values of the public base pipeline; the checkpoint's file decides."""

    steps: int = 25
    strength: float = 5.0
    interval: tuple[float, float] = (0.5, 1.0)
    rescale: float = 3.0
    sigma: float = 1e-5
    mean: tuple[float, ...] = (
        -2.1687545776367188, -0.004347046371549368, -0.13352349400520325, -0.08418072760105133,
        -0.5271206498146057, 0.7238689064979553, -1.1414450407028198, 1.2039363384246826,
    )  # fmt: skip
    std: tuple[float, ...] = (
        2.377650737762451, 2.386378288269043, 2.124418020248413, 2.1748552322387695,
        2.663944721221924, 2.371192216873169, 2.6217446327209473, 2.684523105621338,
    )  # fmt: skip


@dataclass(frozen=True)
class TokenConfig:
    """The encoder of image tokens and view maps; the default is DINOv2 ViT-L/14 with four registers, 37 x 37 patches."""

    width: int = 1024
    depth: int = 24
    heads: int = 16
    patch: int = 14
    registers: int = 4
    trained_side: int = 37
    antialias: bool = True
    """The position table is resized with a low-pass, also when it grows; without it the maps differ visibly."""


@dataclass(frozen=True)
class EmbeddingConfig:
    """The encoder of the class labels; the default is CLIP ViT-H/14 with a projection to 1024."""

    width: int = 1280
    depth: int = 32
    heads: int = 16
    inner: int = 5120
    patch: int = 14
    side: int = 224
    projection: int = 1024


@dataclass(frozen=True)
class AutoencoderConfig:
    """The pictures' autoencoder, a class of diffusers. kind: `kl` (Stable Diffusion's) or `tiny` (its distillation)."""

    kind: Literal["kl", "tiny"] = "kl"
    channels: tuple[int, ...] = (128, 256, 512, 512)
    layers: int = 2
    groups: int = 32


@dataclass(frozen=True)
class SyncHumanConfig:
    """All networks of one preset."""

    name: str
    joint: JointConfig
    occupancy: OccupancyConfig = field(default_factory=OccupancyConfig)
    flow: SlatFlowConfig = field(default_factory=SlatFlowConfig)
    decoder: SlatDecoderConfig = field(default_factory=SlatDecoderConfig)
    sampling: SlatSampling = field(default_factory=SlatSampling)
    tokens: TokenConfig = field(default_factory=TokenConfig)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)

    def __post_init__(self) -> None:
        fits = {
            "the label of twice the embedding": self.joint.label == 2 * self.embedding.projection,
            "the context of the tokens' width": self.tokens.width == self.joint.context == self.flow.context,
            "view features of the tokens' width": self.tokens.width == self.decoder.features,
            "the latents of one width": self.flow.channels == self.decoder.channels,
        }
        wrong = [what for what, holds in fits.items() if not holds]
        if wrong:
            raise ValueError(f"The preset {self.name} needs {', '.join(wrong)}.")


RELEASED = SyncHumanConfig("released", JointConfig("released"))

# A stand-in with the released topology, small enough to run from photo to surface in seconds on a CPU.
TINY = SyncHumanConfig(
    "tiny",
    JointConfig(
        "tiny", side=24, channels=(32, 64, 96, 96), heads=(1, 2, 3, 3), text=64, label=64, grid=4, width=64, depth=6,
        grid_heads=4, context=48, block_groups=(2, 4, 6), sync_heads=4, sync_head_width=16,
    ),
    OccupancyConfig(channels=(16, 8, 8), blocks=1, middle_blocks=1),
    SlatFlowConfig(resolution=16, width=64, context=48, depth=3, heads=4, io_channels=(32,)),
    SlatDecoderConfig(resolution=16, width=256, depth=2, heads=4, features=48, layers=4),
    SlatSampling(steps=4),
    TokenConfig(width=48, depth=4, heads=4, trained_side=6),
    EmbeddingConfig(width=32, depth=2, heads=4, inner=64, side=56, projection=32),
    AutoencoderConfig(channels=(8, 8, 16, 16), layers=1, groups=4),
)  # fmt: skip

# To be trained: views of 256 px, whose box for the face is a half, so that every map has it on whole cells; a grid of
# 32^3 read in patches of 2. Nothing released fits it, so it follows no quirk but the blend of the face.
_SOUND = Quirks(
    round_time_3d=False, downsample_includes_zero=False, conv1x1_reinterpret=False, legacy_rounding=False,
)  # fmt: skip
COMPACT = SyncHumanConfig(
    "compact",
    JointConfig(
        "compact", side=32, channels=(128, 256, 384, 384), heads=(2, 4, 6, 6), text=1024, label=1024, grid=32, patch=2,
        width=384, depth=12, grid_heads=6, context=384, block_groups=(4, 8, 12), sync_heads=6, face_share=2,
        quirks=_SOUND,
    ),
    OccupancyConfig(channels=(128, 64), blocks=2, middle_blocks=2),
    SlatFlowConfig(width=384, context=384, depth=12, heads=6, io_channels=(64,), quirks=_SOUND),
    SlatDecoderConfig(width=512, depth=6, heads=8, features=384, quirks=_SOUND),
    tokens=TokenConfig(width=384, depth=12, heads=6, antialias=False),  # DINOv2 ViT-S/14 with registers
    embedding=EmbeddingConfig(width=768, depth=12, heads=12, inner=3072, patch=32, projection=512),  # CLIP ViT-B/32
    autoencoder=AutoencoderConfig("tiny", (64, 64, 64, 64)),
)  # fmt: skip

PRESETS = {config.name: config for config in (RELEASED, TINY, COMPACT)}


def face_share(facts: Mapping[str, Any]) -> int:
    """Of the preset that a record's facts name: the face box is the middle 1/share of the top 1/share."""
    return preset(str(facts.get("preset", RELEASED.name))).joint.face_share


def preset(name: str) -> SyncHumanConfig:
    """The configuration of that name; UserError lists the known ones."""
    if name not in PRESETS:
        raise UserError(f"SyncHuman has no preset {name!r}; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
