"""The CUDA backend: gsplat (Ye et al. 2024, Apache-2.0) behind the same call as the CPU rasteriser.

gsplat gives features, alpha and expected depth with gradients. It has no median depth and no visibility for 3D
Gaussians; both are counted here from its list of pixel-splat pairs.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor

_ALL = 1 << 30  # more batches of splats than any tile holds


def why_unavailable() -> str | None:
    """None when this machine can use the backend, else a sentence that says what is missing."""
    if not torch.cuda.is_available():
        return "Backend 'cuda' needs an NVIDIA card and a CUDA build of torch; torch sees none. Use backend 'cpu'."
    if importlib.util.find_spec("gsplat") is None:
        return "Backend 'cuda' needs the package gsplat; install requirements-cuda.txt or use backend 'cpu'."
    return None


def render(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, features: Tensor, world_to_camera: Tensor,
    K: Tensor, width: int, height: int, background: Tensor, blur: float, near: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, int]:  # fmt: skip
    """The fields of `splat_raster.SplatImage`, on the card of `means`; arguments as in `splat_raster.rasterise`.

    Gradients reach everything but K. RuntimeError when a card or gsplat is missing, ValueError for tensors
    that are not on the card.
    """
    missing = why_unavailable()
    if missing:
        raise RuntimeError(missing)
    tensors = (means, quats, scales, opacities, features, world_to_camera, K, background)
    if any(not tensor.is_cuda for tensor in tensors):
        raise ValueError("Backend 'cuda' came with tensors that are not on the card; move all of them with .cuda().")
    from gsplat import rasterization, rasterize_to_indices_in_range

    kind = means.dtype
    means, quats, scales, opacities, features, world_to_camera, K, background = (t.float() for t in tensors)
    chosen = usable_splats(means, quats, scales, opacities, features)
    visibility = means.new_zeros(len(means))
    dropped = len(means) - len(chosen)
    if len(chosen) == 0:
        empty = means.new_zeros(height, width)
        image = background.expand(height, width, -1)
        return image.to(kind), empty.to(kind), empty.to(kind), empty.to(kind), visibility.to(kind), dropped
    picture, alpha, meta = rasterization(
        means[chosen], quats[chosen], scales[chosen], opacities[chosen].clamp(max=1.0), features[chosen],
        world_to_camera[None], K[None], width, height, near_plane=near, eps2d=blur, packed=False,
        backgrounds=background[None], render_mode="RGB+ED",
    )  # fmt: skip
    with torch.no_grad():
        splat, pixel, _ = rasterize_to_indices_in_range(
            0, _ALL, means.new_ones(1, height, width), meta["means2d"], meta["conics"], meta["opacities"], width,
            height, meta["tile_size"], meta["isect_offsets"], meta["flatten_ids"],
        )  # fmt: skip
        median, largest = statistics(splat, pixel, meta, width, height)
        visibility[chosen] = largest
    image, depth = picture[0, ..., :-1], picture[0, ..., -1]
    return image.to(kind), alpha[0, ..., 0].to(kind), depth.to(kind), median.to(kind), visibility.to(kind), dropped


def usable_splats(*parts: Tensor) -> Tensor:
    """Numbers of the splats whose values are all finite and whose quaternion (second argument) is not zero."""
    finite = torch.stack([torch.isfinite(part).reshape(len(part), -1).all(1) for part in parts]).all(0)
    return torch.nonzero(finite & (parts[1] != 0).any(1)).flatten()


def statistics(splat: Tensor, pixel: Tensor, meta: dict[str, Any], width: int, height: int) -> tuple[Tensor, Tensor]:
    """Median depth (H, W) and largest weight (N,) from the pairs splat (M,), pixel (M,), nearest first per pixel.

    meta holds means2d (1, N, 2), conics (1, N, 3), opacities (1, N), depths (1, N), as gsplat returns them.
    """
    centre, conic, opacity, depth = (meta[name][0] for name in ("means2d", "conics", "opacities", "depths"))
    order = torch.argsort(pixel, stable=True)
    splat, pixel = splat[order].long(), pixel[order].long()
    dx = pixel % width + 0.5 - centre[splat, 0]
    dy = torch.div(pixel, width, rounding_mode="floor") + 0.5 - centre[splat, 1]
    form = conic[splat]
    power = 0.5 * (form[:, 0] * dx * dx + form[:, 2] * dy * dy) + form[:, 1] * dx * dy
    alpha = (opacity[splat] * torch.exp(-power)).clamp(max=0.999)
    # Transmittance of each pixel's own run of pairs: one running sum of logarithms, less its value at the start.
    clear = torch.log1p(-alpha.double())
    running = torch.cumsum(clear, 0)
    runs = torch.bincount(pixel, minlength=width * height)
    start = (torch.cumsum(runs, 0) - runs)[pixel]
    before = torch.exp(running - clear - (running - clear)[start])
    largest = depth.new_zeros(len(depth)).scatter_reduce(0, splat, (alpha * before).to(depth.dtype), "amax")
    crossing = torch.nonzero((before > 0.5) & (before * (1 - alpha) <= 0.5)).flatten()
    median = depth.new_zeros(width * height)
    median[pixel[crossing]] = depth[splat[crossing]]
    return median.reshape(height, width), largest
