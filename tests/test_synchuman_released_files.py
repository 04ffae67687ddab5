"""Reading the released configuration files."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.step import UserError  # noqa: E402
from pipelines.synchuman import released_files  # noqa: E402
from pipelines.synchuman.configuration import RELEASED  # noqa: E402
from pipelines.synchuman.networks import half_torso, without_memory  # noqa: E402

JOINT: dict[str, Any] = {
    "sample_size": 96, "block_out_channels": [320, 640, 1280, 1280], "attention_head_dim": [5, 10, 20, 20],
    "layers_per_block": 2, "in_channels": 8, "out_channels": 4, "cross_attention_dim": 1024, "norm_num_groups": 32,
    "projection_class_embeddings_input_dim": 2048, "resolution": 16, "trellis_in_channels": 8, "patch_size": 1,
    "model_channels": 1024, "num_blocks": 24, "num_heads": 16, "mlp_ratio": 4, "cond_channels": 1024, "pe_mode": "ape",
    "selfattn_block": "self_rowwise", "num_views": 5, "upcast_attention": True, "use_fp16": True,
}  # fmt: skip
FLOW: dict[str, Any] = {
    "resolution": 64, "in_channels": 8, "out_channels": 8, "model_channels": 1024, "cond_channels": 1024, "num_blocks": 24,
    "num_heads": 16, "mlp_ratio": 4, "patch_size": 2, "num_io_res_blocks": 2, "io_block_channels": [128],
}  # fmt: skip
DECODER: dict[str, Any] = {
    "resolution": 64, "model_channels": 768, "latent_channels": 8, "num_blocks": 12, "num_heads": 12, "mlp_ratio": 4,
    "attn_mode": "swin", "window_size": 8, "mv_dim": 1024, "use_multiscale": True, "use_faceinfo": False,
    "representation_config": {"use_color": True},
}  # fmt: skip


def test_released_files_give_the_released_preset() -> None:
    assert released_files.joint_config(JOINT) == RELEASED.joint
    occupancy = {"out_channels": 1, "latent_channels": 8, "num_res_blocks": 2, "num_res_blocks_middle": 2}
    assert released_files.occupancy_config({"args": {**occupancy, "channels": [512, 128, 32]}}) == RELEASED.occupancy
    assert released_files.flow_config({"args": FLOW}) == RELEASED.flow
    assert released_files.decoder_config({"args": DECODER}, (3072, 8960)) == RELEASED.decoder


def test_a_decoder_file_need_not_state_the_features_width() -> None:
    """The published ones do not; the Gaussian decoder's says how its numbers are read."""
    silent = {name: value for name, value in DECODER.items() if name != "mv_dim"}
    gaussians = {
        "lr": {"_xyz": 1.0, "_features_dc": 1.0, "_opacity": 1.0, "_scaling": 1.0, "_rotation": 0.1}, "perturb_offset": True,
        "voxel_size": 1.5, "num_gaussians": 32, "2d_filter_kernel_size": 0.1, "3d_filter_kernel_size": 9e-4,
        "scaling_bias": 4e-3, "opacity_bias": 0.1, "scaling_activation": "softplus",
    }  # fmt: skip
    for representation in ({"use_color": True}, gaussians):
        stated = {**silent, "mv_condition_mode": "4_view", "representation_config": representation}
        assert released_files.decoder_config({"args": stated}, (3072, 8960)) == RELEASED.decoder


def test_the_weights_decide_the_view_mode() -> None:
    modes = [released_files.mode_of(768 + columns, 768, 1024) for columns in (8192, 4096, 2048, 0)]
    assert modes == ["4_view", "front&back", "front", "no"]
    stated = {**DECODER, "mv_condition_mode": "4_view"}
    assert released_files.decoder_config({"args": stated}, (3072, 2816)).mode == "front"
    with pytest.raises(UserError, match="no number of views"):
        released_files.mode_of(1000, 768, 1024)


def test_what_is_not_implemented_is_refused() -> None:
    with pytest.raises(UserError, match="use_faceinfo"):
        released_files.decoder_config({"args": {**DECODER, "use_faceinfo": True}})
    with pytest.raises(UserError, match="qk_rms_norm_cross"):
        released_files.flow_config({"args": {**FLOW, "qk_rms_norm_cross": True}})
    with pytest.raises(UserError, match="self_rowwise"):
        released_files.joint_config({**JOINT, "selfattn_block": "self"})
    other = {**DECODER, "representation_config": {"num_gaussians": 8}}
    with pytest.raises(UserError, match="num_gaussians"):
        released_files.decoder_config({"args": other})


def test_the_file_decides_the_sampling() -> None:
    norm = {"mean": [0.0] * 8, "std": [1.0] * 8}
    sampler = {"name": "FlowEulerGuidanceIntervalSampler", "args": {"sigma_min": 1e-4}, "params": {"steps": 12}}
    read = released_files.sampling_config({"args": {"slat_sampler": sampler, "slat_normalization": norm}})
    assert (read.steps, read.sigma, read.std) == (12, 1e-4, (1.0,) * 8)
    assert (read.strength, read.interval) == (5.0, (0.5, 1.0))  # not in the file: the base pipeline's


def test_half_torso_has_the_released_types() -> None:
    networks = without_memory(RELEASED)
    half = {}
    for name in ("slat_flow_model", "slat_decoder_gs", "slat_decoder_mesh"):
        values = half_torso(networks[name]).state_dict()
        assert {value.dtype for value in values.values()} == {torch.float16, torch.float32}
        half[name] = sum(value.numel() for value in values.values() if value.dtype == torch.float16)
    assert half == {"slat_flow_model": 599_014_144, "slat_decoder_gs": 443_676_672, "slat_decoder_mesh": 449_566_560}
