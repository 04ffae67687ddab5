"""Does a network draw again what it was shown? The last test of an imported file, and the choice of its footprint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pipelines.geometry.splat_raster import SplatImage, rasterise
from pipelines.hgm import gaussians
from pipelines.hgm.cameras import footprint_factor, intrinsics, network_pictures, opencv_view, orbit_pose
from pipelines.hgm.losses import pooled_psnr
from pipelines.hgm.network import HgmNetwork
from pipelines.hgm.preset_network import AZIMUTHS, exact

Fov = Literal["consistent", "reference_49.1"]
GENUINE, DOUBTFUL = 20.0, 15.0  # dB
ABOVE_WHITE = 3.0  # dB; a small dark person on white is worth 15 to a picture without anybody
RELEASED_ALPHA = 0.99  # one splat covers at most so much of a pixel in the released rasteriser


# dB between what one and what two pictures give, to tell which of the two networks a file is; ours, of no released file.
ALIKE, APART = 3.0, 5.0


@dataclass(frozen=True)
class FrontView:
    """finite: no NaN. opaque: share of splats with opacity above 0.05. psnr: dB of the front view by footprint.

    both: dB of two pictures, front and behind, drawn again by a pass on these two; None where none was made. white: dB of
    an empty white picture, which is no merit.
    """

    finite: bool
    opaque: float
    psnr: dict[str, float]
    both: tuple[float, float] | None = None
    white: float = 0.0

    @property
    def better(self) -> Fov:
        """The footprint that draws the front better."""
        return max(get_args(Fov), key=lambda fov: self.psnr[fov])

    @property
    def views(self) -> int | None:
        """For how many pictures the network seems to be made, 1 or 2; None when the numbers do not tell.

        A network for one has never seen rays from behind; one for two draws both its pictures.
        """
        if self.both is None or not self.finite:
            return None
        one, two, sure = self.psnr[self.better], min(self.both), max(GENUINE, self.white + APART)
        if two >= sure and two > one - ALIKE:
            return 2
        return 1 if one >= sure and two < one - APART else None

    def sentence(self) -> str:
        """What it means."""
        if not self.finite:
            return "The network returned numbers that are not finite; the file is not usable."
        best, least = self.psnr[self.better], doubtful_below(self.white)
        said = (
            f"Front view drawn again: {best:.1f} dB with footprint '{self.better}' (an empty picture: {self.white:.1f}), "
            f"{self.opaque:.0%} of splats visible."
        )
        if best >= max(GENUINE, least):
            return said + " This is what a genuine one-view file does."
        if best >= least:
            return said + " Less than expected of a one-view file; look at the crop."
        return said + " Too little: camera, crop or number of views do not fit, or these are no trained weights."

    def views_sentence(self) -> str:
        """Which of the two networks it looks like; nothing where no second picture was given."""
        if self.both is None or not self.finite:
            return ""
        front, behind = self.both
        said = f"Two pictures drawn again: {front:.1f} dB in front, {behind:.1f} dB behind."
        if self.views is None:
            return f"{said} That does not tell whether the file is the one-view or the two-view network."
        name = "two-view network (hgm.two_view)" if self.views == 2 else "one-view network (hgm.one_view)"
        return f"{said} More likely the {name}: a guess from these numbers alone."

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, the better footprint and the guess included."""
        return {**asdict(self), "better": self.better, "views": self.views}


def doubtful_below(white: float) -> float:
    """dB below which a front view drawn again is no sign of a trained network. white: those of an empty picture."""
    return max(DOUBTFUL, white + ABOVE_WHITE)


def white_psnr(rgb: Tensor) -> float:
    """dB of an empty white picture against one (3, S, S)."""
    return float(pooled_psnr(torch.ones_like(rgb)[None], rgb[None]))


def draw(splats: Tensor, azimuth: float, size: int, raster_fov: Fov = "consistent", blur: float = 0.3) -> SplatImage:
    """Gaussians (N, 14) in network units from HGM's orbit, `size` pixels, on white; depth in network units.

    blur: px^2 on the picture's covariance; 0.3 is the released rasteriser's, 0.05 what the anchored layers are made for.
    """
    view = torch.from_numpy(opencv_view(orbit_pose(azimuth)).T).to(splats)
    scales = splats[:, 4:7] * footprint_factor(raster_fov)
    return rasterise(
        splats[:, :3], splats[:, 7:11], scales, splats[:, 3], splats[:, 11:14], view,
        torch.from_numpy(intrinsics(size)).to(splats), size, size, background=splats.new_ones(3), near=0.2, blur=blur,
        alpha_max=RELEASED_ALPHA,
    )  # fmt: skip


def image_branch(network: HgmNetwork, rgb: Tensor) -> Tensor:
    """The image set (N, 14) of pictures (V, 3, S, S), RGB 0..1 on white, person as HGM's cameras frame it.

    V: 1, the front, or 2, front and back. The image set does not depend on the body, so that this needs no body model.
    """
    poses = np.stack([orbit_pose(azimuth) for azimuth in AZIMUTHS[: len(rgb)]])
    pictures = network_pictures(rgb, poses).to(next(network.parameters()).device)
    with torch.inference_mode(), exact():
        raw = network.conv(network.unet(pictures, views=len(pictures))[0]).cpu()
    return gaussians.image_set(raw.permute(0, 2, 3, 1).reshape(-1, raw.shape[1]))


def front_view(network: HgmNetwork, rgb: Tensor, behind: Tensor | None = None) -> FrontView:
    """Runs the image branch on a picture (3, S, S) and draws it from the front with both footprints.

    behind (3, S, S): a picture for a second pass, on both.
    """
    splats = image_branch(network, rgb[None])
    finite = bool(torch.isfinite(splats).all())
    scores = {fov: drawn_psnr(splats, 0.0, rgb, fov) for fov in get_args(Fov)}
    seen = FrontView(finite, float((splats[:, 3] > 0.05).float().mean()), scores, white=white_psnr(rgb))
    if behind is None:
        return seen
    splats = image_branch(network, torch.stack([rgb, behind]))
    front, back = (drawn_psnr(splats, a, p, seen.better) for a, p in zip(AZIMUTHS, (rgb, behind), strict=True))
    return replace(seen, finite=finite and bool(torch.isfinite(splats).all()), both=(front, back))


def drawn_psnr(splats: Tensor, azimuth: float, rgb: Tensor, raster_fov: Fov) -> float:
    """dB of Gaussians (N, 14) drawn from an azimuth against a picture (3, S, S)."""
    drawn = draw(splats, azimuth, rgb.shape[-1], raster_fov).features.clamp(0, 1).permute(2, 0, 1)
    return float(pooled_psnr(drawn[None], rgb[None]))
