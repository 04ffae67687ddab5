"""The released configuration files -> the configurations here. What the files say wins over what was inferred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.step import UserError
from pipelines.synchuman.configuration import (
    RELEASED,
    JointConfig,
    OccupancyConfig,
    SlatDecoderConfig,
    SlatFlowConfig,
    SlatSampling,
    ViewMode,
)
from pipelines.synchuman.slat_gaussians import (
    LEAST_SCALE,
    PER_VOXEL,
    ROTATION_RATE,
    START_OPACITY,
    START_SCALE,
    VOXEL_REACH,
)
from pipelines.synchuman.slat_transformer import VIEWS_OF_MODE
from pipelines.synchuman.splat_views import LOW_PASS

Settings = Mapping[str, Any]

# What the networks here do, and nothing else: a file that asks for another thing is refused.
_JOINT_FIXED: dict[str, Any] = {
    "selfattn_block": "self_rowwise", "multiview_attention": True, "mvcd_attention": True, "cd_attention_mid": False,
    "cd_attention_last": False, "use_linear_projection": True, "flip_sin_to_cos": True, "freq_shift": 0,
    "class_embed_type": "projection", "num_views": 5, "pe_mode": "ape", "qk_rms_norm": True, "share_mod": False,
    "qk_rms_norm_cross": False, "norm_eps": 1e-5, "num_dual_CrossAttblocks": 2, "transformer_layers_per_block": 1,
}  # fmt: skip
_FLOW_FIXED: dict[str, Any] = {
    "patch_size": 2, "pe_mode": "ape", "qk_rms_norm": True, "use_skip_connection": True, "share_mod": False,
    "qk_rms_norm_cross": False,
}  # fmt: skip
_DECODER_FIXED: dict[str, Any] = {"attn_mode": "swin", "use_multiscale": True, "use_faceinfo": False}
_GAUSSIAN_FIXED: dict[str, Any] = {
    "lr": {"_xyz": 1.0, "_features_dc": 1.0, "_opacity": 1.0, "_scaling": 1.0, "_rotation": ROTATION_RATE},
    "perturb_offset": True, "voxel_size": VOXEL_REACH, "num_gaussians": PER_VOXEL, "2d_filter_kernel_size": LOW_PASS,
    "3d_filter_kernel_size": LEAST_SCALE, "scaling_bias": START_SCALE, "opacity_bias": START_OPACITY,
    "scaling_activation": "softplus",
}  # fmt: skip


def _refuse_others(settings: Settings, fixed: Settings, what: str) -> None:
    for name, value in fixed.items():
        if name in settings and settings[name] != value:
            raise UserError(
                f"The configuration of {what} says {name} = {settings[name]!r}; this implementation has {value!r} only. "
                "Use the weights it was written for."
            )


def joint_config(settings: Settings) -> JointConfig:
    """The joint network's `config.json`. The synchronisation blocks' sizes are not in it: 16 heads of 64."""
    _refuse_others(settings, _JOINT_FIXED, "the joint network")
    depth = int(settings["num_blocks"])
    return JointConfig(
        "released",
        side=int(settings["sample_size"]),
        channels=_four(settings["block_out_channels"]),
        heads=_four(settings["attention_head_dim"]),
        layers=int(settings["layers_per_block"]),
        latent_channels=int(settings["out_channels"]),
        text=int(settings["cross_attention_dim"]),
        label=int(settings["projection_class_embeddings_input_dim"]),
        groups=int(settings["norm_num_groups"]),
        grid=int(settings["resolution"]),
        grid_channels=int(settings["trellis_in_channels"]),
        patch=int(settings["patch_size"]),
        width=int(settings["model_channels"]),
        depth=depth,
        grid_heads=int(settings["num_heads"]),
        ratio=settings["mlp_ratio"],
        context=int(settings["cond_channels"]),
        block_groups=(depth // 3, 2 * depth // 3, depth),
    )


def _four(values: Any) -> tuple[int, int, int, int]:
    a, b, c, d = (int(value) for value in values)
    return a, b, c, d


def occupancy_config(settings: Settings) -> OccupancyConfig:
    """The occupancy decoder's {name, args}."""
    args = settings["args"]
    _refuse_others(args, {"out_channels": 1, "norm_type": "layer"}, "the occupancy decoder")
    return OccupancyConfig(
        int(args["latent_channels"]),
        tuple(args["channels"]),
        int(args["num_res_blocks"]),
        int(args["num_res_blocks_middle"]),
    )


def flow_config(settings: Settings) -> SlatFlowConfig:
    """The latent flow's {name, args}."""
    args = settings["args"]
    _refuse_others(args, _FLOW_FIXED, "the latent flow")
    return SlatFlowConfig(
        resolution=int(args["resolution"]),
        channels=int(args["in_channels"]),
        width=int(args["model_channels"]),
        context=int(args["cond_channels"]),
        depth=int(args["num_blocks"]),
        heads=int(args["num_heads"]),
        ratio=args["mlp_ratio"],
        io_channels=tuple(args["io_block_channels"]),
        io_blocks=int(args["num_io_res_blocks"]),
    )


def decoder_config(settings: Settings, first_weight: tuple[int, ...] | None = None) -> SlatDecoderConfig:
    """A decoder's {name, args}. first_weight: shape of `blocks.0.mv_condition.0.weight`, which decides the view mode."""
    args = settings["args"]
    _refuse_others(args, _DECODER_FIXED, "the decoder")
    representation = args.get("representation_config", {})
    if "num_gaussians" in representation:
        _refuse_others(representation, _GAUSSIAN_FIXED, "the Gaussian decoder")
    # The published files do not state the width of the views' features: it is the image encoder's.
    width, features = int(args["model_channels"]), int(args.get("mv_dim", RELEASED.decoder.features))
    mode = args.get("mv_condition_mode", "4_view")
    if first_weight is not None:
        mode = mode_of(first_weight[1], width, features)
    return SlatDecoderConfig(
        resolution=int(args["resolution"]),
        channels=int(args["latent_channels"]),
        width=width,
        depth=int(args["num_blocks"]),
        heads=int(args["num_heads"]),
        ratio=args["mlp_ratio"],
        window=int(args["window_size"]),
        features=features,
        mode=mode,
        colours=bool(representation.get("use_color", True)),
    )


def mode_of(columns: int, width: int, features: int) -> ViewMode:
    """The view mode of a decoder whose first view matrix has so many columns."""
    for mode, views in VIEWS_OF_MODE.items():
        if columns == width + 2 * len(views) * features:
            return mode  # type: ignore[return-value]
    raise UserError(f"A decoder {width} wide has a view matrix of {columns} columns, which fits no number of views.")


def sampling_config(pipeline: Settings) -> SlatSampling:
    """The second stage's `pipeline.json`: how latents are drawn and put back to scale."""
    args = pipeline["args"]
    sampler, norm = args["slat_sampler"], args["slat_normalization"]
    _refuse_others(sampler, {"name": "FlowEulerGuidanceIntervalSampler"}, "the latent sampler")
    params, first = sampler["params"], RELEASED.sampling
    low, high = params.get("cfg_interval", first.interval)
    return SlatSampling(
        steps=int(params.get("steps", first.steps)),
        strength=float(params.get("cfg_strength", first.strength)),
        interval=(float(low), float(high)),
        rescale=float(params.get("rescale_t", first.rescale)),
        sigma=float(sampler.get("args", {}).get("sigma_min", first.sigma)),
        mean=tuple(norm["mean"]),
        std=tuple(norm["std"]),
    )
