"""The whole network of a preset: the user's released file, or seeded random weights that say so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.hgm.blocks import AttentionBlock, ResidualBlock
from pipelines.hgm.body_points import check_tokens
from pipelines.hgm.cameras import UNITS_PER_METRE, intrinsics, network_pictures, opencv_view, orbit_pose
from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.network import HgmInput, HgmNetwork
from pipelines.hgm.photo_lens import to_network
from pipelines.hgm.records import FITTED, BodyPoints
from pipelines.hgm.released_weights import load_released
from pipelines.hgm.stand_in import fill
from pipelines.step import Context, UserError

Floats = NDArray[np.float32]
Role = Literal["hgm.one_view", "hgm.two_view"]
AZIMUTHS = (0.0, 180.0)  # of the views, in the order in which they are given
# What takes long in a pass: a module, its share of the pass from where to where, and what it makes.
LONG = (("unet", 0.0, 0.35, "Gaussians of the pixels"), ("net", 0.45, 0.6, "Gaussians of the body"),
        ("res", 0.7, 1.0, "Both together"))  # fmt: skip
STAND_IN_SAID = "These are stand-in networks with random weights: what they draw is noise."


def preset_network(config: HgmConfig, role: Role, ctx: Context) -> HgmNetwork:
    """The network of a role on the run's device, in eval mode. MissingNeed without its file, UserError for a file that is
    not whole."""
    if config.name == "tiny":
        ctx.warn(STAND_IN_SAID)
        return fill(HgmNetwork(config)).requires_grad_(False).to(ctx.device)  # type: ignore[return-value]
    path = ctx.weight_file(role)
    ctx.progress(0.0, f"reading {path.name}")
    network, report = load_released(path, 1 if role == "hgm.one_view" else 2, base=config)
    for sentence in report.warnings:
        ctx.warn(sentence)
    if role == "hgm.two_view" and same_file(ctx, path):
        ctx.warn(f"'{path.name}' is named for one view and for two; these are two networks, each with its own file.")
    return network.to(ctx.device)


def same_file(ctx: Context, path: Path) -> bool:
    """Whether the one-view network is to come from this very file."""
    try:
        return ctx.weight_file("hgm.one_view").samefile(path)
    except UserError:
        return False


def predict(network: HgmNetwork, pictures: list[Floats], body: BodyPoints, ctx: Context, low: float = 0.0,
            high: float = 1.0, *, branch: bool = True) -> Tensor:  # fmt: skip
    """The fused set (N, 14) on the CPU, network frame, of a person seen in one or two pictures.

    pictures: (S, S, 3) each 0..1 on white, as HGM's cameras at AZIMUTHS frame them. low, high: the share of the step's
    progress. branch: False gives the image set instead, without the branch of the body. UserError when the body's points
    are not those of the network, MissingNeed when no step can make such.
    """
    config = network.config
    if len(body.points) != config.tokens:
        if body.source == FITTED:
            check_tokens(config.tokens)
        raise UserError(
            f"The body came with {len(body.points)} points; this network's tokens need {config.tokens}. "
            "Replace the step hgm.smplx with vertices of that body model."
        )
    device = next(network.parameters()).device
    poses = np.stack([orbit_pose(a) for a in AZIMUTHS[: len(pictures)]])
    rgb = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    K = np.repeat(intrinsics(rgb.shape[-1])[None], len(poses), 0)
    view = np.stack([opencv_view(pose) for pose in poses])
    arrays = (to_network(body.points, body.pelvis), K, view)
    vertices, lens, cameras = (torch.from_numpy(a).float().to(device) for a in arrays)
    given = HgmInput(network_pictures(rgb, poses).to(device), vertices, lens, cameras)

    def tell(share: float, message: str) -> None:
        ctx.progress(low + share * (high - low), message)

    with torch.inference_mode(), exact(), heard(network, tell):
        made = network(given, progress=tell).fused if branch else network.image_alone(given)
    made = made.float().cpu()
    if not bool(torch.isfinite(made).all()):
        raise UserError("The network returned numbers that are not finite; check its weight file.")
    tall = float(np.ptp(body.points[:, 1])) * UNITS_PER_METRE
    if branch and config.quirks.clamp_voxels and tall > 2.0 - 0.1:
        ctx.warn(
            f"The body is {tall / UNITS_PER_METRE:.2f} m tall as seen; the volume of these networks ends at 2.53 m."
        )
    return made


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Convolutions in full single precision on a card, the same every time.

    The framework lets them round to ten bits there, which moves the body's Gaussians by more than a voxel.
    """
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


@contextlib.contextmanager
def heard(network: HgmNetwork, tell: Callable[[float, str], None]) -> Iterator[None]:
    """While it lasts, every block of the long parts tells how far the pass is: minutes on a CPU, and a cancel is heard."""
    handles = []
    for name, low, high, message in LONG:
        blocks = [m for m in getattr(network, name).modules() if isinstance(m, (ResidualBlock, AttentionBlock))]
        shares = iter(np.linspace(low, high, len(blocks) + 1)[1:])  # each works once in a pass, not in this order

        def after(*_: object, shares: Iterator[np.float64] = shares, message: str = message) -> None:
            tell(float(next(shares)), message)

        handles += [block.register_forward_hook(after) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
