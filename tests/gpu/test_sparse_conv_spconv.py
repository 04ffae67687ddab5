"""The spconv backend of sparse convolution, on a card: same rule, same values as plain tensors on the processor."""

from __future__ import annotations

import pytest
import torch

from pipelines.geometry.sparse_conv import SparseGrid, strided, submanifold, why_no_spconv
from tests.test_sparse_conv import scene

MISSING = why_no_spconv(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@pytest.mark.parametrize("repeated", [False, True])
def test_spconv_gives_what_plain_tensors_give(repeated: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    features, grid, weight = scene(repeated)
    wide = torch.nn.functional.pad(features, (0, 27))
    kernel = torch.nn.functional.pad(weight, (0, 27, 0, 0, 0, 0, 0, 0, 0, 26))
    card = SparseGrid(grid.coords.cuda(), grid.shape)
    made = submanifold(wide.float().cuda(), card, kernel.float().cuda(), "spconv").cpu().double()
    wanted = submanifold(wide, grid, kernel)
    assert float((made - wanted).abs().max()) < 5e-5 * float(wanted.abs().max())
    values, halved = strided(wide.float().cuda(), card, kernel.float().cuda(), "spconv")
    expected, sites = strided(wide, grid, kernel)
    assert torch.equal(halved.coords.cpu(), sites.coords)
    assert float((values.cpu().double() - expected).abs().max()) < 5e-5 * float(expected.abs().max())
