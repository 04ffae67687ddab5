"""A texture by optimisation, as the released program makes it: one picture a step, L1 and total variation, Adam.

After a thousand steps among all pictures' views the last 69 see front and back alone, so these decide where they look.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.step import Context
from pipelines.synchuman import mip_pyramid
from pipelines.synchuman.observations import Observation
from pipelines.synchuman.view_texels import UnwrappedMesh, texels_in_view

Floats = NDArray[np.float32]
Report = Callable[[float, str, Floats | None], None]

DECISIVE = (0, 2)  # front and back, of the observations' order
KEEP_EVERY = 25  # steps between two states that a stopped run goes on from
PAINT_EVERY = 20
FILL_RADIUS = 3.0  # texels


@dataclass(frozen=True)
class Schedule:
    """size: side of the texture. closing: share of the steps, at the end, that see front and back only. smooth: weight
    of the total variation. whole_mask: pixels of the person that the mesh does not cover count too and read the
    texture's corner, as released; that tints one texel."""

    size: int = 1024
    steps: int = 1000
    first_rate: float = 1e-2
    last_rate: float = 3e-5
    betas: tuple[float, float] = (0.5, 0.9)
    smooth: float = 0.01
    closing: float = 0.069
    whole_mask: bool = False

    def rate(self, step: int) -> float:
        """Adam's rate in step 0 .. steps - 1: what the cosine gives after the step before it."""
        done = max(step - 1, 0) / self.steps
        return self.last_rate + 0.5 * (self.first_rate - self.last_rate) * (1 + math.cos(math.pi * done))

    def order(self, views: int, seed: int) -> NDArray[np.int64]:
        """(steps,) which view each step sees, evenly drawn; at the end one of `DECISIVE`."""
        generator = np.random.default_rng(seed)
        drawn = generator.integers(0, views, self.steps)
        last = round(self.closing * self.steps)
        drawn[self.steps - last :] = generator.choice(DECISIVE, last)
        return drawn


@dataclass(frozen=True)
class Target:
    """One view, ready to be compared: uv (n, 2), level (n,), colour (n, 3) uint8, all on the device; side and pixel (n,)
    say where its pixels lie."""

    uv: Tensor
    level: Tensor
    colour: Tensor
    side: int
    pixel: NDArray[np.int32]


TENSORS = ("texture", "first", "second")


@dataclass
class State:
    """An unfinished texture (T, T, 3), row 0 is v = 0; Adam's two moments of it; the losses (steps,) of `done` steps."""

    texture: Tensor
    first: Tensor
    second: Tensor
    losses: Floats
    done: int = 0


@dataclass(frozen=True)
class Optimised:
    """texture (T, T, 3) 0..1, row 0 at the top, whole bytes; losses (steps,)."""

    texture: Floats
    losses: Floats


def targets(
    mesh: UnwrappedMesh, seen: Iterable[Observation], schedule: Schedule, device: str, tell: Callable[[int], None]
) -> list[Target]:
    """Every observation with the places of the texture that its pixels look at. tell: is given how many are ready."""
    made = []
    for observation in seen:
        made.append(_target(mesh, observation, schedule, device))
        tell(len(made))
    return made


def _target(mesh: UnwrappedMesh, seen: Observation, schedule: Schedule, device: str) -> Target:
    view = texels_in_view(mesh, seen.yaw, seen.pitch, len(seen.picture), seen.parallel)
    mask = seen.mask.reshape(-1)
    kept = mask[view.pixel]
    pixel, uv, width = view.pixel[kept], view.uv[kept], view.width[kept]
    if schedule.whole_mask:
        missed = mask.copy()
        missed[view.pixel] = False
        bare = np.flatnonzero(missed).astype(np.int32)
        pixel = np.concatenate([pixel, bare])
        uv = np.concatenate([uv, np.zeros((len(bare), 2), np.float32)])
        width = np.concatenate([width, np.full(len(bare), -50, np.float32)])
    colour = seen.picture.reshape(-1, 3)[pixel]
    level = width + np.float32(math.log2(schedule.size))

    def held(part: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(part)).to(device)

    return Target(held(uv), held(level), held(colour), view.side, pixel)


def optimise(views: Sequence[Target], schedule: Schedule, ctx: Context, tell: Report) -> tuple[Tensor, Floats]:
    """The texture (T, T, 3), row 0 is v = 0, not yet held to 0..1, and the loss of every step.

    Goes on from what `ctx` kept of these views and this schedule; can be cancelled after any step. The same seed, views
    and device give the same bits.
    """
    state = _resume(ctx, schedule)
    if state.done:
        tell(state.done / schedule.steps, f"going on after step {state.done} of {schedule.steps}", None)
    state.texture, state.first, state.second = (t.to(views[0].uv) for t in (state.texture, state.first, state.second))
    order, begun, start = schedule.order(len(views), ctx.seed), state.done, time.monotonic()
    for step in range(begun, schedule.steps):
        loss, gradient = loss_and_gradient(state.texture, views[order[step]], schedule.smooth)
        state.losses[step] = loss
        adam(state, gradient, schedule.rate(step), schedule.betas)
        stopping = ctx.is_cancelled()
        if stopping or state.done % KEEP_EVERY == 0:
            _keep(ctx, state)
        if stopping or state.done % PAINT_EVERY == 0 or state.done == schedule.steps:
            left = (time.monotonic() - start) / (state.done - begun) * (schedule.steps - state.done)
            said = f"step {state.done} of {schedule.steps}, loss {loss:.4f}, about {left:.0f} s left"
            tell(state.done / schedule.steps, said, painted(state.texture, views[0]))
    return state.texture, state.losses


def adam(state: State, gradient: Tensor, rate: float, betas: tuple[float, float], least: float = 1e-8) -> None:
    """One step in place (Kingma & Ba 2015). torch's own loads its compiler first, which takes longer than small bakes."""
    state.done += 1
    state.first.lerp_(gradient, 1 - betas[0])
    state.second.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    length = state.second.sqrt().div_(math.sqrt(1 - betas[1] ** state.done)).add_(least)
    state.texture.addcdiv_(state.first, length, value=-rate / (1 - betas[0] ** state.done))


def loss_and_gradient(texture: Tensor, view: Target, smooth: float) -> tuple[float, Tensor]:
    """Mean |drawn - picture| over the view's pixels + smooth x (mean |difference of neighbours| down + across), and its
    gradient (T, T, 3)."""
    size = len(texture)
    gradient, loss = torch.zeros_like(texture), texture.new_zeros(())
    if len(view.uv):
        at = mip_pyramid.taps(view.uv, view.level, size)
        rows = mip_pyramid.pyramid(texture)
        error = mip_pyramid.sample(rows, at) - view.colour / 255
        loss = error.abs().mean()
        gradient = mip_pyramid.fold(mip_pyramid.spread(error.sign() / error.numel(), at, len(rows)), size)
    for axis in (0, 1):
        step = texture.diff(dim=axis)
        loss = loss + smooth * step.abs().mean()
        push = smooth * step.sign() / step.numel()
        gradient.narrow(axis, 1, size - 1).add_(push)
        gradient.narrow(axis, 0, size - 1).sub_(push)
    return float(loss), gradient


def painted(texture: Tensor, view: Target, side: int = 256) -> Floats:
    """(side, 2 side, 3): the texture, row 0 at the top, beside the view as it looks with it, on white."""
    at = mip_pyramid.taps(view.uv, view.level, len(texture))
    drawn = np.ones((view.side * view.side, 3), np.float32)
    drawn[view.pixel] = mip_pyramid.sample(mip_pyramid.pyramid(texture), at).cpu().numpy()
    both = (texture.flip(0).cpu().numpy(), drawn.reshape(view.side, view.side, 3))
    small = [cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA) for part in both]
    return np.clip(np.concatenate(small, 1), 0, 1).astype(np.float32)


def finish(texture: Tensor, covered: NDArray[np.bool_]) -> Floats:
    """(T, T, 3) row 0 at the top, cut to bytes; what no chart covers is filled from around (Telea 2004).

    covered (T, T): row 0 at the top.
    """
    plain = (texture.flip(0).clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()
    filled = cv2.inpaint(np.ascontiguousarray(plain), (~covered).astype(np.uint8), FILL_RADIUS, cv2.INPAINT_TELEA)
    return (filled.astype(np.float32) / np.float32(255)).astype(np.float32)


def _keep(ctx: Context, state: State) -> None:
    arrays = {name: getattr(state, name).cpu().numpy() for name in TENSORS}
    ctx.keep("bake", {**arrays, "losses": state.losses, "done": np.array(state.done)})


def _resume(ctx: Context, schedule: Schedule) -> State:
    """What was kept, or the start when there is nothing that fits."""
    shape, kept = (schedule.size, schedule.size, 3), ctx.kept("bake") or {}
    shapes = {**dict.fromkeys(TENSORS, shape), "losses": (schedule.steps,), "done": ()}
    if {name: values.shape for name, values in kept.items()} == shapes:
        texture, first, second = (torch.from_numpy(kept[name]) for name in TENSORS)
        return State(texture, first, second, kept["losses"], int(kept["done"]))
    texture, first, second = torch.zeros(3, *shape)
    return State(texture, first, second, np.zeros(schedule.steps, np.float32))
