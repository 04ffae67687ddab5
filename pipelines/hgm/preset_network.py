"""The whole network of a preset: the user's released file, or seeded random weights that say so."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.hgm.body_points import check_tokens
from pipelines.hgm.cameras import UNITS_PER_METRE, intrinsics, network_pictures, opencv_view, orbit_pose
from pipelines.hgm.cameras import vertices_to_network as to_network
from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.network import HgmInput, HgmNetwork
from pipelines.hgm.records import BodyPoints
from pipelines.hgm.released_weights import load_released
from pipelines.hgm.stand_in import fill
from pipelines.step import Context, UserError

Floats = NDArray[np.float32]
Role = Literal["hgm.one_view", "hgm.two_view"]
AZIMUTHS = (0.0, 180.0)  # of the views, in the order in which they are given
STAND_IN_SAID = "These are stand-in networks with random weights: what they draw is noise."


def preset_network(config: HgmConfig, role: Role, ctx: Context) -> HgmNetwork:
    """The network of a role on the run's device, in eval mode. MissingNeed without its file or for another body model,
    UserError for a file that is not whole."""
    if config.name == "tiny":
        ctx.warn(STAND_IN_SAID)
        return fill(HgmNetwork(config)).requires_grad_(False).to(ctx.device)  # type: ignore[return-value]
    network, report = load_released(ctx.weight_file(role), 1 if role == "hgm.one_view" else 2, base=config)
    for sentence in report.warnings:
        ctx.warn(sentence)
    check_tokens(network.config.tokens)
    return network.to(ctx.device)


def predict(network: HgmNetwork, pictures: list[Floats], body: BodyPoints, ctx: Context, low: float = 0.0,
            high: float = 1.0) -> Tensor:  # fmt: skip
    """The fused set (N, 14) on the CPU, network frame, of a person seen in one or two pictures.

    pictures: (S, S, 3) each 0..1 on white, as HGM's cameras at AZIMUTHS frame them. low, high: the share of the step's
    progress. UserError when the body's points are not those of the network.
    """
    config = network.config
    if len(body.points) != config.tokens:
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

    with torch.inference_mode():
        made = network(given, progress=tell)
    fused = made.fused.float().cpu()
    if not bool(torch.isfinite(fused).all()):
        raise UserError("The network returned numbers that are not finite; check its weight file.")
    tall = float(np.ptp(body.points[:, 1])) * UNITS_PER_METRE
    if config.quirks.clamp_voxels and tall > 2.0 - 0.1:
        ctx.warn(
            f"The body is {tall / UNITS_PER_METRE:.2f} m tall as seen; the volume of these networks ends at 2.53 m."
        )
    return fused
