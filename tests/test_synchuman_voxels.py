"""Features on occupied voxels: convolution, resolution, windows, what the views show."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from pipelines.synchuman.attention import SelfAttention  # noqa: E402
from pipelines.synchuman.slat_transformer import lift  # noqa: E402
from pipelines.synchuman.stand_in import fill, normals_of  # noqa: E402
from pipelines.synchuman.synchronisation import column_reads, voxel_reads  # noqa: E402
from pipelines.synchuman.voxels import (  # noqa: E402
    PointwiseConv,
    SubmanifoldConv,
    VoxelGroupNorm,
    Voxels,
    pool,
    spread,
    subdivide,
)
from pipelines.synchuman.window_attention import attend_along_curve, attend_in_windows, morton_code, windows  # noqa: E402

SIDE = 7


def some(name: str, *shape: int) -> Any:
    return torch.from_numpy(normals_of(f"test.{name}", shape))


@pytest.fixture(scope="module")
def voxels() -> Voxels:
    """A scattered third of a cube, in no particular order, its corners included."""
    everywhere = torch.cartesian_prod(*3 * [torch.arange(SIDE)])
    chosen = torch.randperm(len(everywhere), generator=torch.Generator().manual_seed(0))[:120]
    corners = torch.tensor([0, len(everywhere) - 1])
    return Voxels(everywhere[torch.unique(torch.cat([chosen, corners])).flip(0)], SIDE)


def test_convolution_is_a_dense_one_at_the_occupied_voxels(voxels: Voxels, monkeypatch: pytest.MonkeyPatch) -> None:
    conv: Any = fill(SubmanifoldConv(5, 4))
    x = some("x", 2, len(voxels), 5)
    dense = torch.zeros(2, 5, SIDE, SIDE, SIDE)
    at = tuple(voxels.coords.T)
    dense[(slice(None), slice(None), *at)] = x.transpose(1, 2)
    wanted = F.conv3d(dense, conv.weight.permute(0, 4, 1, 2, 3), conv.bias, padding=1)[(slice(None), slice(None), *at)]
    assert torch.allclose(conv(x, voxels), wanted.transpose(1, 2), atol=1e-5)
    monkeypatch.setattr("pipelines.synchuman.voxels.CHUNK", 27 * 2 * 5 * 10)  # ten voxels at a time
    assert torch.allclose(conv(x, voxels), wanted.transpose(1, 2), atol=1e-5)


def test_folded_taps_on_children_equal_the_plain_convolution(voxels: Voxels) -> None:
    conv: Any = fill(SubmanifoldConv(5, 4))
    x = some("x", 2, len(voxels), 5)
    assert torch.allclose(conv.on_children(x, voxels), conv(subdivide(x), voxels.subdivided), atol=1e-5)


def test_repeated_voxels_are_refused() -> None:
    with pytest.raises(ValueError, match="distinct"):
        _ = Voxels(torch.tensor([[1, 1, 1], [1, 1, 1]]), 4).neighbours


def test_halving_counts_the_zero() -> None:
    """Two children 3 and 6 give 3, a lone 9 gives 4.5; the sound form gives 4.5 and 9."""
    fine = Voxels(torch.tensor([[5, 5, 5], [0, 0, 1], [0, 0, 0]]), 6)
    coarse, rows = fine.halved
    assert coarse.coords.tolist() == [[0, 0, 0], [2, 2, 2]] and rows.tolist() == [1, 0, 0]
    x = torch.tensor([[[9.0], [3.0], [6.0]]])
    assert pool(x, rows, 2).flatten().tolist() == [3.0, 4.5]
    assert pool(x, rows, 2, includes_zero=False).flatten().tolist() == [4.5, 9.0]
    assert spread(pool(x, rows, 2), rows).flatten().tolist() == [4.5, 3.0, 3.0]


def test_children_stand_together_z_fastest(voxels: Voxels) -> None:
    fine = voxels.subdivided
    assert fine.side == 2 * SIDE and torch.equal(fine.coords // 2, subdivide(voxels.coords[None])[0])
    bits = (fine.coords % 2)[:8]
    assert (bits * torch.tensor([4, 2, 1])).sum(1).tolist() == list(range(8))
    back, rows = fine.halved
    assert len(back) == len(voxels) and torch.equal(back.coords[rows], fine.coords // 2)


def test_pointwise_convolution_reads_its_memory_untransposed() -> None:
    conv: Any = PointwiseConv(2, 3)
    conv.weight.data = torch.arange(6.0).reshape(3, 1, 1, 1, 2)
    x = torch.tensor([[[1.0, 10.0]]])
    assert conv(x).flatten().tolist() == [30.0, 41.0, 52.0]
    conv.reinterpret = False
    assert conv(x).flatten().tolist() == [10.0, 32.0, 54.0]


def test_group_norm_counts_all_voxels_of_an_element(voxels: Voxels) -> None:
    norm = VoxelGroupNorm(2, 6)
    made = norm(5 + 3 * some("x", 2, len(voxels), 6)).unflatten(2, (2, 3))
    assert made.mean((1, 3)).abs().max() < 1e-5 and (made.var((1, 3), unbiased=False) - 1).abs().max() < 1e-4


def test_windows_attend_like_a_mask_would(voxels: Voxels) -> None:
    attention: Any = fill(SelfAttention(8, 2))
    x = some("x", 1, len(voxels), 8)
    for window, shift in ((3, 0), (4, 2)):
        groups = windows(voxels.coords, window, shift)
        assert sorted(torch.cat(groups).tolist()) == list(range(len(voxels)))
        cell = (voxels.coords + shift) // window
        same = (cell[:, None] == cell[None]).all(-1)
        query, keys, values = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in attention.project(x))
        masked = F.scaled_dot_product_attention(query, keys, values, attn_mask=same).transpose(1, 2).flatten(2)
        assert torch.allclose(attend_in_windows(attention, x, groups), attention.to_out(masked), atol=1e-5)


def test_curve_of_one_run_is_full_attention(voxels: Voxels) -> None:
    attention: Any = fill(SelfAttention(8, 2))
    x = some("x", 1, len(voxels), 8)
    assert torch.equal(attend_along_curve(attention, x, voxels.coords, 1000), attention(x))
    assert (attend_along_curve(attention, x, voxels.coords, 16) - attention(x)).abs().max() > 1e-3
    assert morton_code(torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0]])).tolist() == [4, 2, 1, 36]


def test_a_voxel_looks_at_its_own_cell_of_every_view() -> None:
    """Each map cell holds (view, row, column); back and left are mirrored, so opposite views share the column."""
    view, row, column = torch.meshgrid(torch.arange(4), torch.arange(8), torch.arange(8), indexing="ij")
    maps = torch.stack([view, row, column], -1).float()
    seen = lift(maps, torch.tensor([[1, 2, 5]])).reshape(4, 3).tolist()
    assert seen == [[0, 2, 1], [1, 2, 2], [2, 2, 1], [3, 2, 2]]
    assert lift(maps, torch.tensor([[1, 2, 5]]), "front&back").tolist() == [[0, 2, 1, 2, 2, 1]]
    with pytest.raises(ValueError, match="front_global_cross"):
        lift(maps, torch.tensor([[1, 2, 5]]), "front_global_cross")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="do not fit"):
        lift(maps, torch.tensor([[1, 8, 5]]))


def test_reads_of_the_two_branches_agree_with_the_lift() -> None:
    maps = some("maps", 4, 6, 6, 3)
    coords = torch.cartesian_prod(*3 * [torch.arange(6)])
    reads = voxel_reads(maps.permute(0, 3, 1, 2)[None])[0]
    assert torch.equal(reads[:, [0, 2, 1, 3]].flatten(1), lift(maps, coords))
    volume = some("volume", 1, 3, 6, 6, 6)
    front, side = column_reads(volume)
    row, column = 1, 4
    assert torch.equal(front[0, row * 6 + column], volume[0, :, column, :, 5 - row].T)
    assert torch.equal(side[0, row * 6 + column], volume[0, :, :, column, 5 - row].T)
