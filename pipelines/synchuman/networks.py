"""The networks of a preset: built without memory, filled from files or with stand-in numbers, compared key by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from pipelines.step import UserError
from pipelines.synchuman.configuration import TINY, AutoencoderConfig, SyncHumanConfig
from pipelines.synchuman.embeddings import grid_coords, position_code
from pipelines.synchuman.image_tokens import ImageTokens
from pipelines.synchuman.joint_network import JointNetwork
from pipelines.synchuman.occupancy import OccupancyDecoder
from pipelines.synchuman.picture_embedding import PictureEmbedding
from pipelines.synchuman.slat_flow import SlatFlow
from pipelines.synchuman.slat_gaussians import GaussianDecoder, offset_perturbation
from pipelines.synchuman.slat_surface import SurfaceDecoder
from pipelines.synchuman.stand_in import fill
from pipelines.synchuman.voxels import PointwiseConv, SubmanifoldConv


@dataclass(frozen=True)
class Coverage:
    """How a network's keys meet a file's."""

    matched: int
    wanted: int
    missing: list[str]
    """In the file, not in the network."""
    unknown: list[str]
    """In the network, not in the file."""
    reshaped: list[str]
    values: int

    @property
    def complete(self) -> bool:
        """Every key on both sides, in the same shape."""
        return self.matched == self.wanted and not (self.missing or self.unknown or self.reshaped)

    def __str__(self) -> str:
        text = f"{self.matched} of {self.wanted} keys, {self.values:,} values"
        for what, keys in (("missing", self.missing), ("unknown", self.unknown), ("reshaped", self.reshaped)):
            if keys:
                text += f"; {len(keys)} {what}: {', '.join(keys[:3])}{' ...' if len(keys) > 3 else ''}"
        return text


def compare_keys(network: nn.Module, known: Mapping[str, tuple[int, ...]]) -> Coverage:
    """A network's state dict against {key: shape}."""
    mine = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    reshaped = [key for key in known if key in mine and mine[key] != tuple(known[key])]
    matched = sum(key in mine and mine[key] == tuple(shape) for key, shape in known.items())
    values = sum(value.numel() for value in network.state_dict().values())
    return Coverage(
        matched, len(known), [k for k in known if k not in mine], [k for k in mine if k not in known], reshaped, values
    )


def builders(config: SyncHumanConfig) -> dict[str, Callable[[], nn.Module]]:
    """Every network of a preset by the name its released folder has, the picture encoders included."""
    return {
        "joint_network": lambda: JointNetwork(config.joint),
        "sparse_structure_decoder": lambda: OccupancyDecoder(config.occupancy),
        "slat_flow_model": lambda: SlatFlow(config.flow),
        "slat_decoder_gs": lambda: GaussianDecoder(config.decoder),
        "slat_decoder_mesh": lambda: SurfaceDecoder(config.decoder),
        "vae": lambda: autoencoder(config.autoencoder),
        "image_encoder": lambda: PictureEmbedding(config.embedding),
        "dinov2": lambda: ImageTokens(config.tokens),
    }


def autoencoder(config: AutoencoderConfig) -> nn.Module:
    """The pictures' autoencoder: four latent channels, an eighth of the side."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    if config.kind == "tiny":
        return AutoencoderTiny(encoder_block_out_channels=config.channels, decoder_block_out_channels=config.channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(config.channels),
        up_block_types=("UpDecoderBlock2D",) * len(config.channels),
        block_out_channels=config.channels,
        layers_per_block=config.layers,
        norm_num_groups=config.groups,
    )


def encode_picture(vae: Any, pictures: Tensor) -> Tensor:
    """(n, 3, S, S) 0..1 -> (n, 4, S/8, S/8) float32: the mean of what the autoencoder sees, in the joint network's scale."""
    seen = vae.encode(2 * pictures - 1)
    # The distilled autoencoder has no spread around its latents.
    mean: Tensor = seen.latent_dist.mode() if hasattr(seen, "latent_dist") else seen.latents
    return mean.float() * vae.config.scaling_factor


def decode_latents(vae: Any, latents: Tensor, like: Tensor) -> Tensor:
    """The inverse of `encode_picture`, (n, 3, S, S) 0..1 in the type and on the device of `like`."""
    decoded: Tensor = vae.decode((latents / vae.config.scaling_factor).to(like)).sample
    return (decoded / 2 + 0.5).clamp(0, 1)


def without_memory(config: SyncHumanConfig) -> dict[str, nn.Module]:
    """All networks on the meta device: shapes only."""
    with torch.device("meta"):
        return {name: build() for name, build in builders(config).items()}


def stand_in(name: str, config: SyncHumanConfig = TINY) -> nn.Module:
    """One network with numbers made from its keys' names. It knows nothing: label whatever comes out of it."""
    return fill(builders(config)[name]())


def load(
    name: str,
    config: SyncHumanConfig,
    files: list[Path],
    *,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """One network with the values of its .safetensors files, read straight into place.

    dtype: the type of floating point values; None keeps the files'. Norms of a half-precision network compute in
    float32 all the same. UserError names missing, unknown and reshaped keys.
    """
    with torch.device("meta"):
        network = builders(config)[name]()
    values: dict[str, torch.Tensor] = {}
    for path in files:
        with safe_open(str(path), "pt", device=device) as file:
            for key in file.keys():  # noqa: SIM118 (not a mapping)
                tensor = file.get_tensor(key)
                if not key.endswith("position_ids"):  # an index that old encoder files carry
                    values[renamed(key)] = tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor
    _compute_buffers(network, values, device, dtype)
    coverage = compare_keys(network, {key: tuple(value.shape) for key, value in values.items()})
    if not coverage.complete:
        raise UserError(
            f"The weights for {name} do not fit the preset {config.name}: {coverage}. Choose the preset they were made "
            "for, or the right files."
        )
    network.load_state_dict(values, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def renamed(key: str) -> str:
    """The autoencoder's attention had other names in files of old diffusers versions."""
    for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")):
        if key.startswith(("encoder.mid_block.attentions.", "decoder.mid_block.attentions.")):
            key = key.replace(f".{old}.", f".{new}.")
    return key


def _compute_buffers(
    network: nn.Module, values: dict[str, torch.Tensor], device: str, dtype: torch.dtype | None
) -> None:
    """Buffers with a formula may be absent from a file; the stored ones are used where they are there."""
    if isinstance(network, JointNetwork):
        side = network.config.grid // network.config.patch
        made = position_code(grid_coords(side), network.config.width)
        values.setdefault("pos_emb", made.to(device, dtype or values.get("input_layer.weight", made).dtype))
    if isinstance(network, GaussianDecoder):
        values.setdefault("offset_perturbation", offset_perturbation().to(device))


_TORSO = ("blocks.", "input_blocks.", "out_blocks.", "upsample.")


def half_torso(network: nn.Module) -> nn.Module:
    """A second-stage network in the released mixture: the torso's matrices float16, norms and outer layers float32."""
    for name, module in network.named_modules():
        if name.startswith(_TORSO) and isinstance(module, nn.Linear | SubmanifoldConv | PointwiseConv):
            module.half()
    return network
