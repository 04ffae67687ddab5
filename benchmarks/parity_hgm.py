"""The recorded files of HGM: how each is computed here, and how far it may be off.

Every comparison in single precision; where the recorded values are double, also in double: 1e-9 of the largest
value where they are stored as float64, 2e-7 where they are stored as float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.parity import Case, Golden, Line, largest_error
from pipelines.geometry.sparse_conv import SparseGrid, sample_sparse, strided, submanifold
from pipelines.hgm import cameras, gaussians, losses
from pipelines.hgm.blocks import AttentionBlock, DownBlock, MidBlock, ResidualBlock, UpBlock, nearest_index
from pipelines.hgm.configuration import RELEASED, TINY, Quirks, UNetShape
from pipelines.hgm.image_encoder import ImageEncoder
from pipelines.hgm.network import HgmInput, HgmNetwork
from pipelines.hgm.sparse_volume import SparseVolume
from pipelines.hgm.stand_in import fill, stand_in_body, stand_in_pictures, stand_in_tensor
from pipelines.hgm.token_attention import TokenAttention
from pipelines.hgm.unet import UNet
from pipelines.hgm.voxelise import VoxelBox, voxelise

Outputs = Mapping[str, Any]


def judge(golden: Golden, outputs: Outputs, tolerance: float | Mapping[str, float], double: bool) -> Iterator[Line]:
    """One line per output that the file holds. tolerance: absolute, for single precision, one or by output."""
    for name, made in outputs.items():
        if name not in golden:
            continue
        wanted = golden.arrays[name]
        if wanted.dtype.kind in "iub":
            yield Line(golden.name, name, "exact", largest_error(made, wanted), 0.0)
        elif double:
            demand = 1e-9 if wanted.dtype == np.float64 else 2e-7
            yield Line(golden.name, name, "double", largest_error(made, wanted, True), demand, True)
        else:
            allowed = tolerance if isinstance(tolerance, float) else tolerance[name]
            yield Line(golden.name, name, "single", largest_error(made, wanted), allowed)


def twice(golden: Golden, compute: Callable[[bool], Outputs], tolerance: float | Mapping[str, float]) -> Iterator[Line]:
    """Both precisions of one computation; exact outputs are listed once."""
    yield from judge(golden, compute(False), tolerance, False)
    yield from (line for line in judge(golden, compute(True), tolerance, True) if line.precision == "double")


def ready(module: nn.Module, prefix: str, double: bool) -> Any:
    """Filled by the rule, in the precision asked for."""
    fill(module, prefix)
    return module.double() if double else module


def weights_check(golden: Golden) -> Iterator[Line]:
    """The weight rule itself, bit for bit."""
    for key, about in golden.config["keys"].items():
        x = stand_in_tensor(key, tuple(about["shape"]))
        ends = np.concatenate([x.ravel()[:4], x.ravel()[-4:]])
        wanted = np.concatenate([golden.arrays[f"{key}|first4"], golden.arrays[f"{key}|last4"]])
        yield Line(golden.name, key[-24:], "exact", largest_error(ends, wanted), 0.0)
        total = golden.arrays[f"{key}|sum_f64"]
        yield Line(
            golden.name, key[-18:] + "|sum", "double", largest_error(x.sum(dtype=np.float64), total, True), 1e-9, True
        )


def unet_blocks(golden: Golden) -> Iterator[Line]:
    """Every block on its own."""
    shape, quirks = UNetShape((32,), (True,), (32,), (True,)), Quirks()
    x = golden.tensor

    def compute(double: bool) -> Outputs:
        def block(tag: str, module: nn.Module, *more: Any) -> Any:
            return ready(module, f"{tag}.", double)(x(f"{tag}.in0", double), *more)

        def skips(tag: str) -> list[Tensor]:
            return [x(f"{tag}.in{i}", double) for i in (1, 2, 3)]

        made: dict[str, Any] = {
            "resnet.out0": block("resnet", ResidualBlock(2, 64, 96, 32)),
            "resnet_same.out0": block("resnet_same", ResidualBlock(2, 32, 32, 32)),
            "mvattn1.out0": block("mvattn1", AttentionBlock(2, 64, 32, 16, True)),
            "mvattn2.out0": block("mvattn2", AttentionBlock(2, 64, 32, 16, True), 2),
            "mid.out0": block("mid", MidBlock(2, 64, shape, quirks)),
            "attn1d.out0": block("attn1d", AttentionBlock(1, 64, 32, 16, True)),
            "resnet1d.out0": block("resnet1d", ResidualBlock(1, 32, 64, 32)),
            "up.out0": block("up", UpBlock(2, 64, (32, 32, 32), 32, True, shape, quirks, True), skips("up"), (8, 8)),
            "up1d_odd.out0": block(
                "up1d_odd", UpBlock(1, 64, (32, 32, 32), 32, False, shape, quirks, True), skips("up1d_odd"), (37,)
            ),
        }
        for tag, dims in (("down", 2), ("down1d", 1)):
            last, pushed = block(tag, DownBlock(dims, 32, 64, True, shape, quirks, True))
            made |= {f"{tag}.out{i}": value for i, value in enumerate([last, *pushed])}
        return made

    yield from twice(golden, compute, 2e-5)


def unet_small(golden: Golden) -> Iterator[Line]:
    """A small 2-D U-Net with one and with two views."""

    def compute(double: bool) -> Outputs:
        made = {}
        for tag, views in (("v1", 1), ("v2", 2)):
            net = ready(UNet(2, 9, 14, TINY.unet, Quirks()), "unet.", double)
            made[f"{tag}.x"], made[f"{tag}.feats"] = net(golden.tensor(f"{tag}.in", double), views)
        return made

    yield from twice(golden, compute, 2e-4)


def resunet(golden: Golden) -> Iterator[Line]:
    """The image encoder at full width, also with sizes that do not divide."""

    def compute(double: bool) -> Outputs:
        net = ready(ImageEncoder(9, 32), "unet2.", double)
        return {**net.stages(golden.tensor("in", double)), "odd.out": net(golden.tensor("odd.in", double))}

    names = ("out", "odd.out", "layer1", "layer2", "iconv3", "iconv2")
    yield from twice(golden, compute, {**dict.fromkeys(names, 3e-4), "layer3": 2e-3})


def attention(golden: Golden) -> Iterator[Line]:
    """Tokens over one, two and three samples."""

    def compute(double: bool) -> Outputs:
        net = ready(TokenAttention(32, 32, 8), "xyzc_attn.", double)
        made = {}
        for tag in (t for t in ("v1", "v2", "v3") if f"{t}.q" in golden):
            made[f"{tag}.out"], made[f"{tag}.attn"] = net(
                golden.tensor(f"{tag}.q", double), golden.tensor(f"{tag}.kv", double)
            )
        return made

    yield from twice(golden, compute, 1e-5)


def sparse_conv(golden: Golden) -> Iterator[Line]:
    """Submanifold and strided convolutions, the whole volume, and all of it with repeated voxels."""
    d, h, w = golden.config["shape_dhw"]

    def kernel(key: str, double: bool) -> Tensor:
        made = torch.from_numpy(stand_in_tensor(key, (32, 3, 3, 3, 32)))
        return made.double() if double else made

    def compute(double: bool) -> Outputs:
        net = ready(SparseVolume(32, 4), "xyzc_net.", double)
        places = golden.tensor("net.grid", double)
        made: dict[str, Any] = {}
        for tag in ("", "dup."):
            grid = SparseGrid(golden.tensor(f"{tag}coord").long(), (d, h, w))
            features = golden.tensor(f"{tag}feat", double)
            made[f"{tag}subm.out"] = submanifold(features, grid, kernel("subm.weight", double))
            made[f"{tag}down.out"], halved = strided(features, grid, kernel("down.weight", double))
            made[f"{tag}down.coord"] = halved.coords
            levels = net(features, grid)
            made[f"{tag}net.sampled"] = torch.cat([sample_sparse(x, g, places.clamp(-1, 1)) for x, g in levels], 1).T
            if not tag:
                for i, (x, g) in enumerate(levels):
                    made |= {f"net.level{i}.feat": x, f"net.level{i}.coord": g.coords}
        return made

    kinds = {name: 1e-5 * float(np.abs(value).max()) for name, value in golden.arrays.items()}
    yield from twice(golden, compute, kinds)


def sampling(golden: Golden) -> Iterator[Line]:
    """Trilinear samples of a volume (every voxel occupied) and bilinear ones of a picture."""

    def compute(double: bool) -> Outputs:
        volume = golden.tensor("vol", double)[0]
        coords = torch.cartesian_prod(*(torch.arange(s) for s in volume.shape[1:]))
        grid = SparseGrid(coords, (volume.shape[1], volume.shape[2], volume.shape[3]))
        return {
            "out3": sample_sparse(volume.flatten(1).T, grid, golden.tensor("grid3", double)).T,
            "out2": cameras.sample_picture(golden.tensor("img", double), golden.tensor("grid2", double)),
        }

    yield from twice(golden, compute, 1e-5)


def voxels(golden: Golden) -> Iterator[Line]:
    """Rows, box and places of three sets of points."""
    grid, box = voxelise(golden.tensor("points"), 0.005)
    places = box.places(golden.tensor("query"))
    tall, tall_box = voxelise(golden.tensor("tall_points"), 0.005)
    edge_box = voxelise(golden.tensor("edge_points"), 0.005)[1]
    made = {
        "min_xyz": box.low, "max_xyz": box.high, "coord_dhw": grid.coords, "shape_dhw": np.array(box.shape),
        "grid_xyz_unclamped": places, "grid_xyz": places.clamp(-1, 1), "tall_coord_dhw": tall.coords,
        "tall_shape_dhw": np.array(tall_box.shape), "edge_shape_dhw": np.array(edge_box.shape),
    }  # fmt: skip
    yield from judge(golden, made, 1e-5, False)


def upsample_index(golden: Golden) -> Iterator[Line]:
    """Sources of 1-D nearest up-sampling at the lengths that occur."""
    made = {}
    for name in {key.split(".")[0] for key in golden.arrays}:
        n, length = (int(x) for x in name.split("_"))
        index = nearest_index(n, length)
        made[f"{name}.last64"] = index[-64:]
        made[f"{name}.differs_from_half"] = np.flatnonzero(index != np.arange(length) // 2)
    yield from judge(golden, dict(sorted(made.items())), 0.0, False)


def mixnet(golden: Golden) -> Iterator[Line]:
    """Small 1-D U-Nets over even and odd lengths."""
    shape = TINY.mix_net
    assert shape is not None

    def compute(double: bool) -> Outputs:
        made = {}
        for tag, prefix in golden.config["key_prefix"].items():
            x = golden.tensor(f"{tag}.in", double)
            made[f"{tag}.out"] = ready(UNet(1, x.shape[1], 14, shape, Quirks()), prefix, double)(x)[0]
        return made

    yield from twice(golden, compute, 1e-4)


def activations(golden: Golden) -> Iterator[Line]:
    """The 14 numbers of the three sets."""

    def compute(double: bool) -> Outputs:
        raw, base, place = (golden.tensor(k, double) for k in ("raw", "base", "image_pos"))
        return {
            "image_set": gaussians.image_set(raw),
            "body_set": gaussians.body_set(raw, base),
            "fused_set": gaussians.fused_set(raw, place),
        }

    yield from twice(golden, compute, 2e-6)


def cameras_rays(golden: Golden) -> Iterator[Line]:
    """Orbit, projection matrices, rays, projected points and the data set's cameras."""
    poses = np.stack([cameras.orbit_pose(30.0 * i) for i in range(12)])
    views = np.stack([cameras.opencv_view(p) for p in poses])
    size, K = int(golden.config["size"]), golden.arrays["K"].astype(np.float64)
    wide = size / 2 / np.tan(np.radians(cameras.FOOTPRINT_FOV / 2))
    P = cameras.projection(K, size, size)
    pixels, depth = cameras.project(
        golden.tensor("points", True), torch.from_numpy(K).expand(12, 3, 3), torch.from_numpy(views)
    )
    dataset = cameras.dataset_poses(golden.arrays["dataset.w2c_opencv_zup"])
    made = {
        "c2w_opengl": poses, "cam_view": views, "proj_K": P.T, "cam_view_proj": views @ P.T,
        "proj_fov49.1": cameras.video_projection(49.1), "proj_fov60": cameras.video_projection(60.0),
        **{f"rays.v{i}": cameras.rays(poses[i], size, K[1, 1]) for i in (0, 1, 6)},
        "rays.v0.fov49.1": cameras.rays(poses[0], size, float(wide)),
        "uv_pixels": pixels, "uv_normalised": cameras.picture_places(pixels, size, size), "depth": depth,
        "dataset.c2w_opengl": dataset, "dataset.cam_view": np.stack([cameras.opencv_view(p) for p in dataset]),
    }  # fmt: skip
    made["K"] = cameras.intrinsics(size)
    yield from judge(golden, made, {**dict.fromkeys(made, 1e-5), "uv_pixels": 1e-3}, False)


def loss_values(golden: Golden) -> Iterator[Line]:
    """Scores of twelve small views."""
    mask, wanted = golden.tensor("pred_mask", True), golden.tensor("gt_mask", True)
    rgb, target = golden.tensor("pred_img", True)[0], golden.tensor("gt_img", True)[0]
    made = {
        "iou_per_view": losses.silhouette_iou(mask, wanted), "iou_loss": losses.iou_loss(mask, wanted),
        "psnr_all": losses.pooled_psnr(rgb, target), "psnr_step3": losses.pooled_psnr(rgb, target, 3),
        "psnr_mean_of_views": losses.mean_psnr(rgb, target),
        "loss_rgb_plus_mask": losses.picture_loss(rgb, mask, target, wanted),
    }  # fmt: skip
    yield from judge(golden, made, 1e-6, False)


def reduced_forward(golden: Golden) -> Iterator[Line]:
    """A whole pass of the tiny network, every intermediate."""
    about = golden.config
    config = replace(TINY, input_size=about["input_size"], tokens=about["body_tokens"])

    def compute(double: bool) -> Outputs:
        net = ready(HgmNetwork(config), "", double)
        given = HgmInput(*(golden.tensor(k, double) for k in ("images", "body_vertices", "K", "cam_view")))
        return pass_outputs(net, given)

    # The volume's tolerance is relative to its largest value; its rows in the fusion input stand in where it is absent.
    held = (golden.arrays.get(k) for k in ("volume_samples", "mix_in_rows_0_8_last8"))
    wide = max((float(np.abs(x).max()) for x in held if x is not None), default=1.0)
    tolerance = {
        **dict.fromkeys(("unet_raw", "unet_feats", "image_features", "gaussians_image"), 3e-4), "tokens_1": 3e-4,
        "tokens_2": 3e-4, "grid_xyz": 1e-3, "body_raw": 5e-3, "gaussians_body": 5e-3, "mix_out": 1e-3,
        "gaussians_fused": 1e-3, "volume_samples": 2e-4 * wide, "mix_in_rows_0_8_last8": 2e-4 * wide,
    }  # fmt: skip
    yield from twice(golden, compute, tolerance)


def pass_outputs(net: HgmNetwork, given: HgmInput) -> dict[str, Tensor]:
    """Everything that the files of whole passes hold, under their names."""
    seen: dict[str, Tensor] = {}
    out = net(given, watch=seen.__setitem__)
    mixed = seen.pop("mix_in")
    seen["mix_in_rows_0_8_last8"] = torch.cat([mixed[:8], mixed[-8:]])
    seen["volume_samples"] = seen["volume_samples"].T
    seen["coord_dhw"], seen["shape_dhw"] = out.grid.coords, torch.tensor(out.grid.shape)
    seen["grid_xyz"] = _places(out.box, out.image[:, :3])
    return seen


def _places(box: VoxelBox, points: Tensor) -> Tensor:
    return box.places(points).clamp(-1, 1)


def full_forward(golden: Golden) -> Iterator[Line]:
    """The full-size network in single precision, up to 400 values per output and its mean and deviation."""
    views = int(golden.config["views"])
    poses = np.stack([cameras.orbit_pose(180.0 * i) for i in range(views)])
    noise, line = stand_in_pictures(7, views, 512), np.stack([cameras.rays(p, 512, 409.0) for p in poses])
    images = np.concatenate([noise, line.astype(np.float32)], 1)
    body = stand_in_body(10_475, (0.30, 0.70, 0.25))
    yield from judge(
        golden,
        {
            "images|first8": images.ravel()[:8], "images|rays_pixel_100_200": images[:, 3:, 100, 200],
            "body|first4": body[:4], "body|sum": body.sum(0, dtype=np.float64),
        },
        1e-5, False,
    )  # fmt: skip
    views_of = np.stack([cameras.opencv_view(p) for p in poses]).astype(np.float32)
    K = np.tile(cameras.intrinsics(512).astype(np.float32), (views, 1, 1))
    given = HgmInput(*(torch.from_numpy(a) for a in (images, body, K, views_of)))
    with torch.device("meta"):
        empty = HgmNetwork(RELEASED)
    net = fill(empty.to_empty(device="cpu"))
    assert isinstance(net, HgmNetwork)
    made = pass_outputs(net, given)
    coords = made["coord_dhw"]
    exact = {
        "shape_dhw": made["shape_dhw"], "coord_sum": coords.sum(0), "coord_first4": coords[:4],
        "n_unique_voxels": np.array(len(torch.unique(coords, dim=0))),
    }  # fmt: skip
    yield from judge(golden, exact, 0.0, False)
    demands = {
        "unet_raw": 2e-4, "unet_feats": 2e-4, "conv_out": 2e-4, "gaussians_image": 5e-4, "image_features": 3e-4,
        "tokens_1": 5e-4, "tokens_2": 5e-4, "body_raw": 1e-3, "gaussians_body": 2e-3, "volume_samples": 2e-3,
        "mix_out": 2e-3, "gaussians_fused": 2e-3,
    }  # fmt: skip
    for name, demand in demands.items():
        x = made[name].contiguous().numpy()
        index, value = golden.arrays[f"{name}|index"], golden.arrays[f"{name}|value"]
        yield Line(golden.name, name, "single", largest_error(x.ravel()[index], value), demand)
        mean, std = golden.arrays[f"{name}|mean_std"]
        # The recorded deviation may be of the sample or of the population; they differ by far less than the demand.
        error = max(abs(x.mean(dtype=np.float64) - mean), abs(x.std(dtype=np.float64) - std)) / std
        yield Line(golden.name, f"{name}|mean_std", "single", float(error), 1e-5, True)


CASES = [
    Case("weights_check", weights_check),
    Case("upsample_index", upsample_index),
    Case("activations", activations),
    Case("attention", attention),
    Case("cameras_rays", cameras_rays),
    Case("losses", loss_values),
    Case("sampling", sampling),
    Case("voxelise", voxels),
    Case("sparse_conv", sparse_conv),
    Case("unet_blocks", unet_blocks),
    Case("unet_small", unet_small),
    Case("mixnet", mixnet),
    Case("resunet", resunet),
    Case("forward_v1", reduced_forward),
    Case("forward_v2", reduced_forward),
    Case("full_v1", full_forward, full=True),
    Case("full_v2", full_forward, full=True),
]
