"""The CUDA backend against the plain twin; needs an NVIDIA card and gsplat."""

from __future__ import annotations

import pytest
import torch

from pipelines.geometry import splat_gsplat
from pipelines.geometry.splat_raster import SplatImage, rasterise
from tests.splat_scenes import PARAMETERS, at_the_edge, random_scene
from tests.test_splat_raster import assert_same_picture, cosine, draw, gradients, loss

_missing = splat_gsplat.why_unavailable()
pytestmark = pytest.mark.skipif(_missing is not None, reason=_missing or "")


@pytest.mark.parametrize("channels", [1, 3, 5, 32])
def test_picture_and_gradients_equal_the_twin(channels: int) -> None:
    scene = random_scene(300, 10 + channels, channels)
    assert not at_the_edge(scene, 1e-6).any()
    tensors = [tensor.float().cuda().requires_grad_() for tensor in scene.tensors()]
    *rest, background = tensors
    picture = rasterise(*rest, scene.width, scene.height, background=background)
    pictures = (picture.features, picture.alpha, picture.depth, picture.median_depth, picture.visibility)
    on_cpu = SplatImage(*(value.cpu() for value in pictures), picture.dropped)
    assert_same_picture(on_cpu, draw(scene, "twin"), scene)
    loss(on_cpu).backward()
    slow = gradients(scene, "twin")
    for name, tensor in zip(PARAMETERS, tensors, strict=True):
        if name != "K":  # gsplat gives K no gradient
            assert cosine(tensor.grad.double().cpu(), slow[name]) > 0.9999, name


def test_broken_splats_are_dropped() -> None:
    scene = random_scene(50, 3)
    tensors = [tensor.float().cuda() for tensor in scene.tensors()]
    tensors[0][4, 0] = torch.nan
    tensors[1][9] = 0
    *rest, background = tensors
    picture = rasterise(*rest, scene.width, scene.height, background=background, backend="cuda")
    assert picture.dropped == 2 and bool(torch.isfinite(picture.features).all())
