"""Does a network draw again what it was shown? The last test of an imported file, and the choice of its footprint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from pipelines.geometry.splat_raster import SplatImage, rasterise
from pipelines.hgm import gaussians
from pipelines.hgm.cameras import footprint_factor, intrinsics, network_pictures, opencv_view, orbit_pose
from pipelines.hgm.losses import pooled_psnr
from pipelines.hgm.network import HgmNetwork

Fov = Literal["consistent", "reference_49.1"]
GENUINE, DOUBTFUL = 20.0, 15.0  # dB


@dataclass(frozen=True)
class FrontView:
    """finite: no NaN. opaque: share of splats with opacity above 0.05. psnr: dB of the front view by footprint."""

    finite: bool
    opaque: float
    psnr: dict[str, float]

    @property
    def better(self) -> Fov:
        """The footprint that draws the front better."""
        return max(get_args(Fov), key=lambda fov: self.psnr[fov])

    def sentence(self) -> str:
        """What it means."""
        if not self.finite:
            return "The network returned numbers that are not finite; the file is not usable."
        best = self.psnr[self.better]
        said = f"Front view drawn again: {best:.1f} dB with footprint '{self.better}', {self.opaque:.0%} of splats visible."
        if best >= GENUINE:
            return said + " This is what a genuine one-view file does."
        if best >= DOUBTFUL:
            return said + " Less than expected of a one-view file; look at the crop."
        return said + " Too little: camera, crop or number of views do not fit, or these are no trained weights."


def draw(splats: Tensor, azimuth: float, size: int, raster_fov: Fov = "consistent", blur: float = 0.3) -> SplatImage:
    """Gaussians (N, 14) in network units from HGM's orbit, `size` pixels, on white; depth in network units.

    blur: px^2 on the picture's covariance; 0.3 is the released rasteriser's, 0.05 what the anchored layers are made for.
    """
    view = torch.from_numpy(opencv_view(orbit_pose(azimuth)).T).to(splats)
    scales = splats[:, 4:7] * footprint_factor(raster_fov)
    return rasterise(
        splats[:, :3], splats[:, 7:11], scales, splats[:, 3], splats[:, 11:14], view,
        torch.from_numpy(intrinsics(size)).to(splats), size, size, background=splats.new_ones(3), near=0.2, blur=blur,
    )  # fmt: skip


def image_branch(network: HgmNetwork, rgb: Tensor) -> Tensor:
    """The image set (N, 14) of one front picture (3, S, S), RGB 0..1 on white, person as HGM's camera frames it.

    The image set does not depend on the body, so that this needs no body model.
    """
    pictures = network_pictures(rgb[None], orbit_pose(0.0)[None]).to(next(network.parameters()).device)
    with torch.inference_mode():
        raw = network.conv(network.unet(pictures)[0]).cpu()
    return gaussians.image_set(raw.permute(0, 2, 3, 1).reshape(-1, raw.shape[1]))


def front_view(network: HgmNetwork, rgb: Tensor) -> FrontView:
    """Runs the image branch on a picture (3, S, S) and draws it from the front with both footprints."""
    splats = image_branch(network, rgb)
    finite = bool(torch.isfinite(splats).all())
    scores = {}
    for fov in get_args(Fov):
        drawn = draw(splats, 0.0, rgb.shape[-1], fov).features.clamp(0, 1).permute(2, 0, 1)
        scores[fov] = float(pooled_psnr(drawn[None], rgb[None]))
    return FrontView(finite, float((splats[:, 3] > 0.05).float().mean()), scores)
