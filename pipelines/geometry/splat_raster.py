"""Draws 3D Gaussians: one differentiable call, three backends.

    cpu    numba, tiles, eight pixels at a time (`splat_cpu` and the kernels it runs)
    cuda   gsplat on an NVIDIA card (`splat_gsplat`)
    twin   plain torch in double precision (`splat_twin`), slow: the judge of the other two

All three draw the same picture: EWA projection with `blur` added to the 2D covariance, blending front to back,
contributions under 1/255 skipped, alpha at most `alpha_max`, which is 0.999 unless told otherwise; gsplat knows no
other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.geometry import splat_cpu, splat_twin
from pipelines.geometry.splat_project import pack_camera

Backend = Literal["auto", "cpu", "cuda", "twin"]
LARGEST_PICTURE = 16384  # pixels a side
MOST_ALPHA = splat_twin.ALPHA_MAX  # gsplat's: one splat covers at most so much of a pixel


@dataclass(frozen=True)
class SplatImage:
    """A rendered picture as torch tensors.

    features (H, W, C), over the background. alpha (H, W) 0..1. depth (H, W): expected depth sum(w z) / alpha,
    metres, 0 where nothing is. median_depth (H, W): depth of the splat at which half of the light is gone, 0
    where that never happens; no gradient. visibility (N,): the largest blending weight the splat has in any
    pixel, 0..1; no gradient. dropped: splats left out because a number of theirs was not finite, or their
    quaternion zero.
    """

    features: Tensor
    alpha: Tensor
    depth: Tensor
    median_depth: Tensor
    visibility: Tensor
    dropped: int


@dataclass(frozen=True)
class SplatArrays:
    """The same as numpy float32 arrays."""

    features: NDArray[np.float32]
    alpha: NDArray[np.float32]
    depth: NDArray[np.float32]
    median_depth: NDArray[np.float32]
    visibility: NDArray[np.float32]
    dropped: int


def rasterise(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    features: Tensor,
    world_to_camera: Tensor,
    K: Tensor,
    width: int,
    height: int,
    *,
    background: Tensor | None = None,
    backend: Backend = "auto",
    blur: float = 0.3,
    near: float = 0.01,
    alpha_max: float = MOST_ALPHA,
) -> SplatImage:
    """Draws N Gaussians with a pinhole camera.

    means (N, 3) world metres; quats (N, 4) wxyz, any length but zero; scales (N, 3) linear, metres; opacities
    (N,) 0..1; features (N, C), colours or anything else, C from 1 to 32; world_to_camera (4, 4), OpenCV camera
    (x right, y down, z forward); K (3, 3) pixels, pixel centres at integer + 0.5, no skew. background (C,),
    zero when None. blur is added to the picture's covariance, px^2; splats with z < near (metres) are left out.
    alpha_max: the most that one splat may cover of a pixel, above 0 and below 1; `cuda` has 0.999 alone.

    Gradients flow from features, alpha and depth to every tensor given (on `cuda` not to K). As everywhere
    in the field they hold the order of the splats and the 1/255 cut-off fixed. Splats at exactly the same depth
    are blended in the order of the input. Same input, same bytes on cpu and twin, whatever the number of threads.

    Raises ValueError for shapes, sizes or devices that do not fit, RuntimeError when `cuda` is asked for and
    gsplat or a card is missing.
    """
    check_shapes(means, quats, scales, opacities, features, world_to_camera, K, width, height, background, blur, near)
    check_alpha(alpha_max)
    if background is None:
        background = features.new_zeros(features.shape[1])
    if backend == "auto":
        backend = "cuda" if means.is_cuda else "cpu"
    if backend == "cuda":
        if alpha_max != MOST_ALPHA:
            raise ValueError(
                f"alpha_max came as {alpha_max:g}; backend 'cuda' has {MOST_ALPHA} alone: use 'cpu' or 'twin'."
            )
        from pipelines.geometry import splat_gsplat

        *pictures, dropped = splat_gsplat.render(
            means, quats, scales, opacities, features, world_to_camera, K, width, height, background, blur, near
        )
        return _splat_image(pictures, dropped)
    tensors = (means, quats, scales, opacities, features, world_to_camera, K, background)
    if any(tensor.device.type != "cpu" for tensor in tensors):
        raise ValueError(f"Backend '{backend}' came with tensors that are not on the CPU; move them with .cpu().")
    if backend == "cpu":
        *pictures, dropped = _CpuRasteriser.apply(*tensors, width, height, blur, near, alpha_max)
        return _splat_image(pictures, dropped)
    if backend != "twin":
        raise ValueError(f"Backend '{backend}' is not known; choose 'auto', 'cpu', 'cuda' or 'twin'.")
    picture, visibility, dropped = splat_twin.render(
        *tensors[:7], width, height, background, blur, near, alpha_max=alpha_max
    )
    pictures = [picture.features, picture.alpha, picture.depth, picture.median_depth, visibility]
    return _splat_image([p.to(means.dtype) for p in pictures], dropped)


def _splat_image(pictures: list[Any], dropped: Any) -> SplatImage:
    """From features, alpha, depth, median depth and visibility, in this order."""
    features, alpha, depth, median_depth, visibility = pictures
    return SplatImage(features, alpha, depth, median_depth, visibility, int(dropped))


def render_numpy(
    means: NDArray[np.floating],
    quats: NDArray[np.floating],
    scales: NDArray[np.floating],
    opacities: NDArray[np.floating],
    features: NDArray[np.floating],
    world_to_camera: NDArray[np.floating],
    K: NDArray[np.floating],
    width: int,
    height: int,
    *,
    background: NDArray[np.floating] | None = None,
    blur: float = 0.3,
    near: float = 0.01,
    alpha_max: float = MOST_ALPHA,
) -> SplatArrays:
    """`rasterise` on the CPU without gradients, numpy arrays in and out; shapes and units as there."""
    check_shapes(means, quats, scales, opacities, features, world_to_camera, K, width, height, background, blur, near)
    check_alpha(alpha_max)
    given = _splatting(
        means, quats, scales, opacities, features, world_to_camera, K, width, height, blur, near, alpha_max
    )
    channels = features.shape[1]
    frame = splat_cpu.forward(given, _background(background, channels))
    image = frame.image if frame.image.shape[2] == channels else np.ascontiguousarray(frame.image[..., :channels])
    return SplatArrays(image, frame.alpha, frame.depth, frame.median_depth, frame.visibility, frame.dropped)


def warm_up() -> float:
    """Compiles every CPU kernel, or loads it from numba's cache on disk, by one small picture; returns seconds."""
    started = time.perf_counter()
    means = torch.tensor([[0.0, 0.0, 1.0]], requires_grad=True)
    quats, scales = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.full((1, 3), 0.1)
    lens = torch.tensor([[8.0, 0.0, 4.0], [0.0, 8.0, 4.0], [0.0, 0.0, 1.0]])
    picture = rasterise(means, quats, scales, torch.ones(1), torch.ones(1, 3), torch.eye(4), lens, 8, 8, backend="cpu")
    picture.features.sum().backward()
    return time.perf_counter() - started


def check_shapes(
    means: Any, quats: Any, scales: Any, opacities: Any, features: Any, world_to_camera: Any, K: Any, width: int,
    height: int, background: Any, blur: float, near: float,
) -> None:  # fmt: skip
    """ValueError with a sentence when an argument of `rasterise` has the wrong shape or range."""
    count = len(means)
    wanted: list[tuple[str, Any, tuple[int, ...]]]
    wanted = [("means", means, (count, 3)), ("quats", quats, (count, 4)), ("scales", scales, (count, 3))]
    wanted += [("opacities", opacities, (count,)), ("world_to_camera", world_to_camera, (4, 4)), ("K", K, (3, 3))]
    for name, value, shape in wanted:
        if tuple(value.shape) != shape:
            raise ValueError(f"{name} came with shape {tuple(value.shape)}; with {count} splats it needs {shape}.")
    if features.ndim != 2 or len(features) != count or not 1 <= features.shape[1] <= 32:
        raise ValueError(f"features came with shape {tuple(features.shape)}; it needs ({count}, 1 to 32).")
    if background is not None and tuple(background.shape) != (features.shape[1],):
        raise ValueError(
            f"background came with shape {tuple(background.shape)}; it needs ({features.shape[1]},), as the features."
        )
    if not (1 <= width <= LARGEST_PICTURE and 1 <= height <= LARGEST_PICTURE):
        raise ValueError(f"The picture came as {width} x {height}; each side needs 1 to {LARGEST_PICTURE} pixels.")
    if not (near > 0 and blur >= 0):
        raise ValueError(f"near came as {near} and blur as {blur}; near must be above 0 and blur not below 0.")
    k = (K.detach() if isinstance(K, Tensor) else K).tolist()
    if k[0][1] != 0 or k[1][0] != 0 or k[2] != [0, 0, 1] or not (k[0][0] > 0 and k[1][1] > 0):
        raise ValueError(f"K came as {k}; it needs [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with fx and fy above 0.")


def check_alpha(alpha_max: float) -> None:
    """ValueError unless a splat may cover something of a pixel, and never all of it."""
    if not 1.0 / 255.0 < alpha_max < 1.0:
        raise ValueError(f"alpha_max came as {alpha_max:g}; it needs to be above 1/255 and below 1.")


def _plain(array: NDArray[np.floating]) -> NDArray[np.float32]:
    """Contiguous, writable float32: one type for the compiled kernels, so that they are compiled once."""
    result = np.ascontiguousarray(array, np.float32)
    return result if result.flags.writeable else result.copy()


def _splatting(
    means: Any, quats: Any, scales: Any, opacities: Any, features: Any, world_to_camera: Any, K: Any, width: int,
    height: int, blur: float, near: float, alpha_max: float = MOST_ALPHA,
) -> splat_cpu.Splatting:  # fmt: skip
    """Kernel inputs; fewer than three features are filled up with zeros to use the quick path of three."""
    features = _plain(features)
    if features.shape[1] < 3:
        features = np.pad(features, ((0, 0), (0, 3 - features.shape[1])))
    camera = pack_camera(np.asarray(world_to_camera), np.asarray(K), width, height, blur, near)
    return splat_cpu.Splatting(
        _plain(means), _plain(quats), _plain(scales), _plain(opacities), features, camera, width, height,
        np.float32(alpha_max),
    )  # fmt: skip


def _background(background: Any, channels: int) -> NDArray[np.float32]:
    result = np.zeros(max(3, channels), np.float32)
    if background is not None:
        result[:channels] = background
    return result


class _CpuRasteriser(torch.autograd.Function):
    """Connects `splat_cpu` to autograd."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Any, ...]:
        tensors, (width, height, blur, near, alpha_max) = arguments[:8], arguments[8:]
        arrays = [tensor.detach().numpy() for tensor in tensors]
        channels = arrays[4].shape[1]
        means, quats, scales, opacities, features, pose, lens, _ = arrays
        given = _splatting(means, quats, scales, opacities, features, pose, lens, width, height, blur, near, alpha_max)
        frame = splat_cpu.forward(given, _background(arrays[7], channels))
        ctx.frame, ctx.channels, ctx.kinds = frame, channels, [tensor.dtype for tensor in tensors]
        ctx.set_materialize_grads(False)
        kind = tensors[0].dtype
        pictures = (frame.image[..., :channels], frame.alpha, frame.depth, frame.median_depth, frame.visibility)
        out = tuple(torch.from_numpy(picture).to(kind).contiguous() for picture in pictures)
        # Where the pictures share the frame's memory, this makes autograd refuse a backward after in-place edits.
        ctx.save_for_backward(*out[:3])
        ctx.mark_non_differentiable(out[3], out[4])
        return (*out, frame.dropped)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        _ = ctx.saved_tensors
        frame, channels = ctx.frame, ctx.channels
        g_image, g_alpha, g_depth = (None if g is None else _plain(g.detach().numpy()) for g in gradients[:3])
        if g_image is None or channels < frame.image.shape[2]:
            whole = np.zeros(frame.image.shape, np.float32)
            if g_image is not None:
                whole[..., :channels] = g_image
            g_image = whole
        found = splat_cpu.backward(frame, g_image, g_alpha, g_depth)
        pose, lens = np.zeros((4, 4)), np.zeros((3, 3))
        pose[:3, :3], pose[:3, 3] = found.camera[:9].reshape(3, 3), found.camera[9:12]
        lens[0, 0], lens[1, 1], lens[0, 2], lens[1, 2] = found.camera[12:]
        arrays = [found.means, found.quats, found.scales, found.opacities, found.features[:, :channels], pose, lens]
        behind = np.zeros(channels)
        if ctx.needs_input_grad[7]:
            behind = ((1.0 - frame.alpha).reshape(-1) @ g_image.reshape(-1, g_image.shape[2]))[:channels]
        wanted = zip([*arrays, behind], ctx.kinds, ctx.needs_input_grad[:8], strict=True)
        result = [torch.from_numpy(np.ascontiguousarray(a)).to(kind) if need else None for a, kind, need in wanted]
        return (*result, None, None, None, None, None)
