"""Colours of splats whose picture is the photo.

Drawing is linear in the colours: picture = A c, with A the blending weights. Splats overlap and blur, so the photo's
own colours drawn are too soft. The least-squares colours, over the pixels that are surely the person, come from a few
steps of conjugate gradients on A^T W A c = A^T W photo (CGLS, Hestenes & Stiefel 1952); the rasteriser does both
products, A by drawing and A^T by its gradient. A splat's step is divided by its weight in the picture, A^T W 1, as in
SIRT, so that large splats and small ones come to their colours alike fast. Each is held a little to the colour it
had (Tikhonov): what the photo cannot tell, being finer than the picture shows or all but hidden, stays calm.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.splat_raster import SplatImage, rasterise
from pipelines.records import Splats

Floats = NDArray[np.float32]
DAMPING = 0.05  # what leaving its own colour costs a splat, against the errors it can mend: else it rings close by
RESTART = 3  # steps between two looks at which colours have come to a limit
HIDDEN, SHOWN = 0.05, 0.2  # blending weights in its best pixel between which a splat comes to be judged by the photo


class Drawing:
    """The linear map from the colours of splats to a camera's picture (H, W, 3), black around, and its transpose."""

    def __init__(self, splats: Splats, camera: Camera) -> None:
        self.camera = camera
        self.shape = [torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in
                      (splats.means, splats.quats, splats.scales, splats.opacities)]  # fmt: skip
        self.colours = torch.from_numpy(np.array(splats.colours, np.float32)).requires_grad_(True)
        # The weights are the same whatever the colours: this one frame serves for every transposed product.
        self.frame = self.rendered(self.colours)
        self.start: Floats = self.colours.detach().numpy()
        self.picture: Floats = self.frame.features.detach().numpy()
        self.visibility: Floats = self.frame.visibility.numpy()

    def rendered(self, colours: torch.Tensor) -> SplatImage:
        """The picture of colours (N, 3) with everything the rasteriser tells."""
        means, quats, scales, opacities = self.shape
        pose, lens = torch.tensor(self.camera.world_to_camera).float(), torch.tensor(self.camera.K).float()
        return rasterise(means, quats, scales, opacities, colours, pose, lens, self.camera.width, self.camera.height)

    def draw(self, colours: Floats) -> Floats:
        """A: (N, 3) -> (H, W, 3)."""
        with torch.no_grad():
            return self.rendered(torch.from_numpy(colours)).features.numpy()

    def gather(self, image: Floats) -> Floats:
        """A^T: (H, W, 3) -> (N, 3)."""
        given = torch.from_numpy(np.ascontiguousarray(image, np.float32))
        return torch.autograd.grad(self.frame.features, self.colours, given, retain_graph=True)[0].numpy()


def fit_colours(
    splats: Splats, free: Floats, camera: Camera, photo: Floats, sure: Floats, rounds: int, limit: float
) -> Floats:
    """(N, 3) colours after `rounds` steps, each within limit * free of the one it was.

    free (N,): 0 keeps a splat's colour, 1 lets it change. photo: (H, W, 3). sure (H, W): weight of the pixels, >= 0.
    """
    colours = splats.colours.copy()
    # What is hidden takes no part: the same picture without it is drawn sooner.
    shown = np.flatnonzero(Drawing(splats, camera).visibility > 1e-3)
    if rounds < 1 or not len(shown):
        return colours
    drawing = Drawing(splats.select(shown), camera)
    loose = free[shown] * np.clip((drawing.visibility - HIDDEN) / (SHOWN - HIDDEN), 0.0, 1.0)
    loose = loose.astype(np.float32)[:, None]
    weight = sure[..., None].astype(np.float32)
    mass = drawing.gather(np.broadcast_to(weight, photo.shape))[:, :1]
    scale = loose / (mass + 0.02 * mass.mean() + 1e-6)
    damping = DAMPING * np.maximum(mass, mass.mean())
    start = drawing.start
    low, high = np.maximum(start - limit * loose, 0.0), np.minimum(start + limit * loose, 1.0)
    found, picture = start, drawing.picture
    while rounds > 0:
        steps = min(rounds, RESTART)
        residual = photo - picture
        gradient = drawing.gather(weight * residual) - damping * (found - start)
        # What stands at a limit and would go beyond it is held there, and the others make up for it.
        held = (found <= low) & (gradient < 0) | (found >= high) & (gradient > 0)
        open_ = np.where(held, 0.0, scale).astype(np.float32)
        change = conjugate(drawing, residual, gradient, open_, weight, damping, found - start, steps)
        found = np.clip(found + change, low, high)
        rounds -= steps
        if rounds > 0:
            picture = drawing.draw(found)
    colours[shown] = found
    return colours


def conjugate(
    drawing: Drawing, residual: Floats, gradient: Floats, scale: Floats, weight: Floats, damping: Floats,
    already: Floats, steps: int,
) -> Floats:  # fmt: skip
    """(N, 3) change of the colours after some steps of preconditioned conjugate gradients from no change.

    residual (H, W, 3): photo less picture; gradient (N, 3): A^T W residual - damping * already; scale (N, 3): the
    preconditioner's diagonal, 0 for a colour that stays; weight (H, W, 1); damping (N, 1); already (N, 3): how far
    the colours are from those they are held to.
    """
    change = np.zeros_like(gradient)
    step = scale * gradient
    power = float((gradient * step).sum())
    for number in range(steps):
        drawn = drawing.draw(step)
        stretch = float((weight * drawn * drawn).sum() + (damping * step * step).sum())
        if power <= 0.0 or stretch <= 0.0:
            break
        length = np.float32(power / stretch)
        change += length * step
        if number + 1 == steps:
            break
        residual = residual - length * drawn
        gradient = drawing.gather(weight * residual) - damping * (already + change)
        conditioned = scale * gradient
        before, power = power, float((gradient * conditioned).sum())
        step = conditioned + np.float32(power / before) * step
    return change
