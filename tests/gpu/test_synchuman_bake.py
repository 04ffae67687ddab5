"""The optimised texture on a card: what the processor gives, and the same bits twice; needs an NVIDIA card."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.step import Context
from pipelines.synchuman import optimise_texture
from pipelines.synchuman.optimise_texture import Schedule, Target

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA card")


def view(device: str) -> Target:
    """Places drawn at random, many on the same texels."""
    generator = torch.Generator().manual_seed(1)
    uv, level = torch.rand(5000, 2, generator=generator), 6 * torch.rand(5000, generator=generator) - 1
    colour = (255 * torch.rand(5000, 3, generator=generator)).to(torch.uint8)
    return Target(uv.to(device), level.to(device), colour.to(device), 100, np.arange(5000, dtype=np.int32))


def test_a_card_gives_the_processors_gradient() -> None:
    texture = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(2))
    loss, gradient = optimise_texture.loss_and_gradient(texture, view("cpu"), 0.01)
    on_card, there = optimise_texture.loss_and_gradient(texture.cuda(), view("cuda"), 0.01)
    assert abs(loss - on_card) < 1e-6 and (there.cpu() - gradient).abs().max() < 1e-6 < gradient.abs().max()


def test_a_card_gives_the_same_bits_twice() -> None:
    made = []
    for _ in range(2):
        views = [view("cuda")] * 3
        texture, losses = optimise_texture.optimise(views, Schedule(64, 40), Context("x", seed=3), lambda *_: None)
        made.append((texture.cpu(), losses))
    assert torch.equal(made[0][0], made[1][0]) and np.array_equal(made[0][1], made[1][1])
