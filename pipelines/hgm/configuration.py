"""Shapes and switches of an HGM network: the released one, the compact one trained here, and a tiny one for tests."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from pipelines.step import UserError

RAYS = 6  # moment and direction of a pixel's ray
LAYER_MAPS = 23  # of the compact preset, after RGB and rays: `layer_input.CHANNELS` from alpha on


@dataclass(frozen=True)
class Quirks:
    """What the released networks do that nobody would do again. True reproduces it; weights depend on most of them."""

    attend_views_only: bool = True
    """A token attends to the V samples of its own vertex: with one view the softmax is 1 and tokens have no effect."""
    reinterpret_sequence: bool = True
    """1-D attention views memory [C, N] as [N, C] without a transpose: a token is C neighbours of one channel row."""
    interleave_views: bool = True
    """[V, C, h, w] is viewed as [C, V h w]: with two views a Gaussian gets every other channel of both."""
    single_precision_nearest: bool = True
    """1-D nearest up-sampling picks floor(float32(i) * float32(n / L)): off by one at a few places of odd lengths."""
    clamp_voxels: bool = True
    """Voxel coordinates are clamped to 0..400, so bodies above 2 units pile up on the border."""
    full_resolution_grid: bool = True
    """Every level of the volume is addressed with the finest shape: a shift of up to one coarse voxel."""
    half_pixel_samples: bool = True
    """Body points are sampled as if pixel centres were at integers; the rays put them at +0.5."""
    raster_fov: Literal["consistent", "reference_49.1"] = "reference_49.1"
    """Footprints were drawn with the focal of 49.1 degrees, positions with f = 409: splats look 1.37 times larger."""


SOUND = Quirks(
    attend_views_only=False, reinterpret_sequence=False, interleave_views=False, single_precision_nearest=False,
    clamp_voxels=False, full_resolution_grid=False, half_pixel_samples=False, raster_fov="consistent",
)  # fmt: skip


@dataclass(frozen=True)
class UNetShape:
    """Channels of a U-Net, finest first on the way down, coarsest first on the way up."""

    down: tuple[int, ...]
    down_attention: tuple[bool, ...]
    up: tuple[int, ...]
    up_attention: tuple[bool, ...]
    mid_attention: bool = True
    layers: int = 2
    groups: int = 32
    heads: int = 16
    unused_head: int = 0
    """Channels of a second output head that the released file carries and nothing calls; 0 = none."""

    def __post_init__(self) -> None:
        if len(self.down) != len(self.down_attention) or len(self.up) != len(self.up_attention):
            raise ValueError("A U-Net needs one attention switch for every level, down and up.")
        if len(self.up) > len(self.down):
            raise ValueError(
                f"A U-Net came with {len(self.down)} levels down and {len(self.up)} up; up has at most as many."
            )


@dataclass(frozen=True)
class HgmConfig:
    """Everything that fixes the shapes of one network. Lengths are in network units (1 unit = 4/3 m)."""

    name: str
    unet: UNetShape
    input_size: int = 512
    extra_channels: int = 0
    """Channels after RGB and rays: alpha and body maps (compact)."""
    decoder: Literal["xyz", "layers2"] = "xyz"
    encoder: tuple[int, int, int] = (64, 128, 256)
    encoder_blocks: tuple[int, int, int] = (3, 4, 6)
    features: int = 32
    """Width of the image encoder's output: keys and values of the token attention."""
    tokens: int = 10_475
    code_dim: int = 32
    code_heads: int = 8
    body_net: UNetShape | None = None
    """1-D U-Net over the vertices; None: a small network per vertex."""
    mix_net: UNetShape | None = None
    """1-D U-Net over the Gaussians; None: a small network per Gaussian with attention in windows of 64."""
    voxel: float = 0.005
    volume_levels: int = 4
    quirks: Quirks = field(default_factory=Quirks)

    @property
    def in_channels(self) -> int:
        """Channels of the U-Net's input."""
        return 3 + RAYS + self.extra_channels

    @property
    def raw_channels(self) -> int:
        """Channels of the U-Net's output: 14 for free coordinates, 2 layers of 10 for the anchored decoder."""
        return 14 if self.decoder == "xyz" else 20

    @property
    def gaussian_features(self) -> int:
        """Channels of the U-Net's last block, handed on with every Gaussian."""
        return self.unet.up[-1]

    @property
    def mix_channels(self) -> int:
        """Channels of the fusion network's input: position, U-Net features, samples of the volumes."""
        return 3 + self.gaussian_features + self.code_dim * self.volume_levels

    @property
    def body_channels(self) -> int:
        """Channels of the body network's input: vertex position and its token's reading of the pictures."""
        return 3 + self.code_dim


_RELEASED_LINE = UNetShape(
    down=(64, 128, 256, 512, 1024), down_attention=(False, False, False, True, True),
    up=(1024, 512, 256, 128, 64), up_attention=(True, True, False, False, False),
)  # fmt: skip

RELEASED = HgmConfig(
    name="released",
    unet=UNetShape(
        down=(64, 128, 256, 512, 1024, 1024), down_attention=(False, False, False, True, True, True),
        up=(1024, 1024, 512, 256, 128), up_attention=(True, True, True, False, False), unused_head=256,
    ),
    body_net=_RELEASED_LINE,
    mix_net=_RELEASED_LINE,
)  # fmt: skip

# The published design in a size that two cores can train: anchored layers at full resolution, sound attention. Its
# pictures are crops of 128 x 96 (`layer_input`): depth errors are as long as limbs, and the layers keep their detail.
COMPACT = HgmConfig(
    name="compact",
    unet=UNetShape(
        down=(32, 64, 96, 160, 160), down_attention=(False, False, False, False, True),
        up=(160, 160, 96, 64, 32), up_attention=(True, False, False, False, False), layers=1, heads=8,
    ),
    input_size=128,
    extra_channels=LAYER_MAPS,
    decoder="layers2",
    encoder=(32, 64, 96),
    encoder_blocks=(1, 1, 1),
    tokens=3_428,
    voxel=0.015,
    volume_levels=2,
    quirks=SOUND,
)  # fmt: skip

_TINY_LINE = UNetShape(
    down=(32, 32, 64), down_attention=(False, True, True), up=(64, 32, 32), up_attention=(True, True, False)
)

# Widths of the stored reduced passes: plumbing and parity, never a picture worth showing.
TINY = HgmConfig(
    name="tiny",
    unet=UNetShape(down=(32, 32, 64), down_attention=(False, True, True), up=(64, 32), up_attention=(True, False)),
    input_size=64,
    tokens=560,
    body_net=_TINY_LINE,
    mix_net=_TINY_LINE,
)

PRESETS: dict[str, HgmConfig] = {c.name: c for c in (RELEASED, COMPACT, TINY)}


def find_preset(name: str) -> HgmConfig:
    """The configuration of a preset; UserError with the names there are."""
    if name not in PRESETS:
        raise UserError(f"There is no HGM preset '{name}'; there is {', '.join(PRESETS)}.")
    return PRESETS[name]


def quirk_names() -> tuple[str, ...]:
    """Names of the switches, in order."""
    return tuple(f.name for f in fields(Quirks))
