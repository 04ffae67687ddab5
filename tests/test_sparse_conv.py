"""Sparse convolution against dense convolutions and plain loops, with unique and with repeated voxels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pipelines.geometry import sparse_conv, sparse_conv_twin
from pipelines.geometry.sparse_conv import (
    SparseGrid,
    duplicate_share,
    halve,
    sample_sparse,
    strided,
    submanifold,
    voxel_keys,
)

SHAPE = (9, 12, 7)  # odd and even sizes


def scene(repeated: bool, seed: int = 0, count: int = 60, width: int = 5) -> tuple[Tensor, SparseGrid, Tensor]:
    """Features (N, width), a crowded grid that touches its borders, a weight (6, 3, 3, 3, width); double."""
    random = torch.Generator().manual_seed(seed)
    keys = torch.randperm(SHAPE[0] * SHAPE[1] * SHAPE[2], generator=random)[:count]
    keys[:2] = torch.tensor([0, SHAPE[0] * SHAPE[1] * SHAPE[2] - 1])
    keys = torch.unique(keys)[torch.randperm(len(torch.unique(keys)), generator=random)]
    if repeated:
        keys = keys[torch.randint(len(keys), (count + 30,), generator=random)]
    _, h, w = SHAPE
    coords = torch.stack([keys // (h * w), keys // w % h, keys % w], 1)
    features = torch.randn(len(keys), width, generator=random, dtype=torch.float64)
    weight = torch.randn(6, 3, 3, 3, width, generator=random, dtype=torch.float64)
    return features, SparseGrid(coords, SHAPE), weight


@pytest.mark.parametrize("seed", range(3))
def test_unique_voxels_equal_a_dense_convolution(seed: int) -> None:
    features, grid, weight = scene(False, seed)
    made = submanifold(features, grid, weight)
    assert torch.allclose(made, sparse_conv_twin.dense_submanifold(features, grid, weight), atol=1e-12)
    values, halved = strided(features, grid, weight)
    wanted, coords = sparse_conv_twin.dense_strided(features, grid, weight)
    assert torch.equal(halved.coords, coords)
    assert halved.shape == (5, 6, 4)
    assert torch.allclose(values, wanted, atol=1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_repeated_voxels_follow_the_rule_of_the_loops(seed: int) -> None:
    features, grid, weight = scene(True, seed)
    assert duplicate_share(grid) > 0.2
    assert torch.allclose(
        submanifold(features, grid, weight), sparse_conv_twin.loop_submanifold(features, grid, weight), atol=1e-12
    )
    values, halved = strided(features, grid, weight)
    wanted, coords = sparse_conv_twin.loop_strided(features, grid, weight)
    assert torch.equal(halved.coords, coords)
    assert torch.allclose(values, wanted, atol=1e-12)


def test_single_precision_stays_near_double() -> None:
    features, grid, weight = scene(True)
    made = submanifold(features.float(), grid, weight.float()).double()
    wanted = submanifold(features, grid, weight)
    assert float((made - wanted).abs().max()) < 1e-5 * float(wanted.abs().max())


def test_gradients_are_those_of_the_loops() -> None:
    features, grid, weight = scene(True, count=24, width=2)
    leaves = [t.clone().requires_grad_() for t in (features, weight)]
    made = (
        submanifold(leaves[0], grid, leaves[1]).square().sum() + strided(leaves[0], grid, leaves[1])[0].square().sum()
    )
    twins = [t.clone().requires_grad_() for t in (features, weight)]
    wanted = _loop_square_sum(*twins, grid=grid)
    for mine, other in zip(torch.autograd.grad(made, leaves), torch.autograd.grad(wanted, twins), strict=True):
        assert torch.allclose(mine, other, atol=1e-9)


def _loop_square_sum(features: Tensor, weight: Tensor, grid: SparseGrid) -> Tensor:
    """The loops write in place, so each row is taken apart first."""
    rows = sparse_conv_twin.loop_strided(features, grid, weight)[0].square().sum()
    return rows + sparse_conv_twin.loop_submanifold(features, grid, weight).square().sum()


def test_samples_equal_those_of_the_dense_volume() -> None:
    features, grid, _ = scene(False)
    places = torch.rand(200, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * 2.6 - 1.3
    places[:2] = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    made = sample_sparse(features, grid, places)
    assert torch.allclose(made, sparse_conv_twin.dense_sample(features, grid, places), atol=1e-12)
    assert float(made.abs().max()) > 0.5
    # The first place is the corner voxel (0, 0, 0), which is occupied.
    assert torch.allclose(made[0], features[grid.keys() == 0][0])


def test_the_spconv_path_keeps_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """What surrounds spconv (repeats, order of the sites), with a dense convolution in the place of the package."""

    def stand_in(
        features: Tensor, coords: Tensor, shape: tuple[int, int, int], weight: Tensor, strided: bool
    ) -> tuple[Tensor, Tensor]:
        grid = SparseGrid(coords, shape)
        assert duplicate_share(grid) == 0
        if not strided:
            return sparse_conv_twin.dense_submanifold(features, grid, weight), coords
        values, sites = sparse_conv_twin.dense_strided(features, grid, weight)
        return values.flip(0), sites.flip(0)

    monkeypatch.setattr(sparse_conv, "_spconv", stand_in)
    monkeypatch.setattr(sparse_conv, "why_no_spconv", lambda device: None)
    features, grid, weight = scene(True, 1)
    made = submanifold(features, grid, weight, "spconv")
    assert torch.allclose(made, submanifold(features, grid, weight, "torch"), atol=1e-12)
    values, halved = strided(features, grid, weight, "spconv")
    wanted, sites = strided(features, grid, weight, "torch")
    assert torch.equal(halved.coords, sites.coords)
    assert torch.allclose(values, wanted, atol=1e-12)


def test_spconv_is_refused_on_the_processor() -> None:
    features, grid, weight = scene(False)
    with pytest.raises(ValueError, match="not reliable"):
        submanifold(features, grid, weight, "spconv")


def test_wrong_shapes_are_named() -> None:
    features, grid, weight = scene(False)
    with pytest.raises(ValueError, match="needs \\(out, 3, 3, 3, in\\)"):
        submanifold(features, grid, weight.flatten(1))
    with pytest.raises(ValueError, match="the grid and the weight need"):
        strided(features[:-1], grid, weight)
    with pytest.raises(ValueError, match="outside it"):
        SparseGrid(torch.tensor([[0, 0, 7]]), SHAPE)
    with pytest.raises(ValueError, match="int64"):
        SparseGrid(torch.zeros(1, 3), SHAPE)


def test_an_empty_grid_gives_an_empty_result() -> None:
    _, _, weight = scene(False)
    grid = SparseGrid(torch.zeros(0, 3, dtype=torch.int64), SHAPE)
    nothing = torch.zeros(0, 5, dtype=torch.float64)
    assert submanifold(nothing, grid, weight).shape == (0, 6)
    values, halved = strided(nothing, grid, weight)
    assert values.shape == (0, 6) and len(halved.coords) == 0
    assert halve(grid).shape == (5, 6, 4)


def test_voxel_numbers_grow_along_w_first() -> None:
    assert voxel_keys(torch.tensor([[0, 0, 1], [0, 1, 0], [1, 0, 0]]), SHAPE).tolist() == [1, 7, 84]
