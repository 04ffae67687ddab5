"""The recorded files of SyncHuman, second stage, networks: structured latents, their flow and their decoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.parity import Case, Golden, Line
from benchmarks.parity_synchuman_joint import judge
from pipelines.synchuman import slat_gaussians
from pipelines.synchuman.attention import CrossAttention, MultiHeadRMSNorm, SelfAttention
from pipelines.synchuman.configuration import SlatDecoderConfig, SlatFlowConfig, SlatSampling
from pipelines.synchuman.cubes_to_surface import surface
from pipelines.synchuman.modulated_block import ModulatedCrossBlock
from pipelines.synchuman.networks import half_torso
from pipelines.synchuman.slat_flow import SlatFlow, SparseResidualBlock
from pipelines.synchuman.slat_gaussians import GaussianDecoder
from pipelines.synchuman.slat_sampling import denormalise, sample_slat
from pipelines.synchuman.slat_surface import SurfaceDecoder
from pipelines.synchuman.slat_transformer import SlatBlock, lift
from pipelines.synchuman.stand_in import fill, normals_of
from pipelines.synchuman.voxels import (
    Holder,
    PointwiseConv,
    SubmanifoldConv,
    VoxelGroupNorm,
    Voxels,
    pool,
    spread,
    subdivide,
)
from pipelines.synchuman.window_attention import attend_along_curve, attend_in_windows, windows

STAGE_2 = "synchuman_stage2"
FLOW = SlatFlowConfig(resolution=32, width=64, context=48, depth=3, heads=4, io_channels=(32,))
GAUSSIAN_DECODER = SlatDecoderConfig(width=64, depth=4, heads=4, features=16)
SURFACE_DECODER = SlatDecoderConfig(resolution=16, width=256, depth=2, heads=8, features=16)


def check(golden: Golden, outputs: dict[str, Any], tolerance: float) -> Iterator[Line]:
    """One line per output against the file's `output.NAME`."""
    return judge(golden, outputs, tolerance, prefix="output.")


def given(golden: Golden, name: str) -> Tensor:
    """An input of a file, single precision."""
    return golden.tensor(f"input.{name}")


class Elements:
    """The two batch elements of a file: rows of each, their voxels. The package's features are one element's."""

    def __init__(self, golden: Golden, side: int = 64) -> None:
        coords = torch.from_numpy(golden.arrays["input.coords"]).long()
        self.rows = [torch.nonzero(coords[:, 0] == b)[:, 0] for b in range(int(coords[:, 0].max()) + 1)]
        self.voxels = [Voxels(coords[rows, 1:], side) for rows in self.rows]

    def each(self, call: Callable[[int, Tensor, Voxels], Tensor], x: Tensor) -> Tensor:
        """call(element, (1, n, C), voxels) on every element; the results one below the other."""
        return torch.cat(
            [call(b, x[rows][None], v)[0] for b, (rows, v) in enumerate(zip(self.rows, self.voxels, strict=True))]
        )


def half(golden: Golden, outputs: dict[str, Tensor]) -> Iterator[Line]:
    """Relative L2 distance of a run with the torso in float16 from the recorded float32 run: at most 1 %."""
    for name, made in outputs.items():
        if f"output.{name}" in golden:
            wanted = golden.tensor(f"output.{name}")
            error = float((made.float() - wanted).norm() / wanted.norm())
            yield Line(golden.name, name, "half", error, 1e-2, relative=True, note="L2")


def sparse_ops(golden: Golden) -> Iterator[Line]:
    """Convolutions, changes of resolution, norms."""
    elements, x = Elements(golden), given(golden, "feats")
    conv3: Any = fill(Holder(SubmanifoldConv(32, 24)), "conv3.")
    conv1: Any = fill(Holder(PointwiseConv(32, 12)), "conv1.")
    norm: Any = fill(VoxelGroupNorm(8, 32), "gn.")
    rms: Any = fill(MultiHeadRMSNorm(8, 4), "rms.")
    linear: Any = fill(nn.Linear(32, 20), "lin.")
    halves = [voxels.halved for voxels in elements.voxels]

    def down(b: int, part: Tensor, voxels: Voxels) -> Tensor:
        return pool(part, halves[b][1], len(halves[b][0]))

    vector = given(golden, "batch_vec")
    made = {
        "conv3": elements.each(lambda b, part, v: conv3(part, v), x),
        "conv1": conv1(x),
        "groupnorm": elements.each(lambda b, part, v: norm(part), x),
        "rmsnorm": rms(x.unflatten(1, (4, 8))),
        "linear": linear(x),
        "gelu_tanh": F.gelu(x, approximate="tanh"),
        "down_feats": elements.each(down, x),
        "down_up_feats": elements.each(lambda b, part, v: spread(down(b, part, v), halves[b][1]), x),
        "batch_broadcast_mul": elements.each(lambda b, part, v: part * vector[b], x),
        "subdivide_feats": elements.each(lambda b, part, v: subdivide(part), x)[:64],
    }
    yield from check(golden, made, 2e-5)
    starts = np.cumsum([0] + [len(v) for v, _ in halves])
    coords = torch.cat([F.pad(v.coords, (1, 0), value=b) for b, (v, _) in enumerate(halves)])
    index = torch.cat([rows + int(starts[b]) for b, (_, rows) in enumerate(halves)])
    children = torch.cat([F.pad(v.subdivided.coords, (1, 0), value=b) for b, v in enumerate(elements.voxels)])
    yield from check(golden, {"down_coords": coords, "down_index": index, "subdivide_coords": children[:64]}, 0.0)


def attention(golden: Golden) -> Iterator[Line]:
    """Full, normalised, windowed, along a curve, and to another sequence."""
    elements, x, context = Elements(golden), given(golden, "feats"), given(golden, "context")
    made = {}
    for name, rms in (("full", False), ("full_rms", True)):
        module: Any = fill(SelfAttention(32, 4, rms), f"{name}.")
        made[name] = elements.each(lambda b, part, v, m=module: m(part), x)
    for window, shift in ((4, 0), (4, 2), (8, 4)):
        name = f"window{window}_shift{shift}"
        module = fill(SelfAttention(32, 4), f"{name}.")
        made[name] = elements.each(
            lambda b, part, v, m=module, w=window, s=shift: attend_in_windows(m, part, windows(v.coords, w, s)), x
        )
    for name, shift, moved in (("", 0, 0), ("_shiftseq16", 16, 0), ("_shiftwin16", 0, 16)):
        module = fill(SelfAttention(32, 4), f"serial_z_32{name}.")
        made[f"serial_z_32{name}"] = elements.each(
            lambda b, part, v, m=module, s=shift, w=moved: attend_along_curve(m, part, v.coords, 32, s, w), x
        )
    cross: Any = fill(CrossAttention(32, 20, 4), "cross.")
    made["cross"] = elements.each(lambda b, part, v: cross(part, context[b : b + 1]), x)
    yield from check(golden, made, 2e-5)


def res_block(golden: Golden) -> Iterator[Line]:
    """Residual blocks at one resolution, down, and up with a skip connection."""
    elements, x, emb = Elements(golden), given(golden, "feats"), given(golden, "emb")
    blocks: dict[str, Any] = {
        name: fill(SparseResidualBlock(*channels, 40), f"{name}.")
        for name, channels in {"plain": (32, 32), "down": (32, 48), "up": (96, 32)}.items()
    }
    halves = [voxels.halved for voxels in elements.voxels]
    coarse = [v for v, _ in halves]

    def down(b: int, part: Tensor, voxels: Voxels) -> Tensor:
        return blocks["down"](pool(part, halves[b][1], len(coarse[b])), emb[b : b + 1], coarse[b])

    lower = elements.each(down, x)
    joined = torch.cat([lower, given(golden, "skip")], 1)
    starts = np.cumsum([0] + [len(v) for v in coarse])

    def up(b: int, part: Tensor, voxels: Voxels) -> Tensor:
        mine = joined[None, int(starts[b]) : int(starts[b + 1])]
        return blocks["up"](spread(mine, halves[b][1]), emb[b : b + 1], voxels)

    plain = elements.each(lambda b, part, v: blocks["plain"](part, emb[b : b + 1], v), x)
    yield from check(golden, {"plain": plain, "down": lower, "up": elements.each(up, x)}, 2e-5)
    coords = torch.cat([F.pad(v.coords, (1, 0), value=b) for b, v in enumerate(coarse)])
    yield from check(golden, {"down_coords": coords}, 0.0)


def transformer_block(golden: Golden) -> Iterator[Line]:
    """The block of the flow, with modulation of its own and shared, and the decoders' in four view modes."""
    elements, x, context = Elements(golden), given(golden, "feats"), given(golden, "context")
    made = {}
    for name, shared, vector in (("modulated_cross", False, "mod"), ("modulated_cross_share", True, "mod6")):
        block: Any = fill(ModulatedCrossBlock(48, 24, 4, rms_norm=True, shared=shared), f"{name}.")
        time = given(golden, vector)
        made[name] = elements.each(lambda b, part, v, m=block, t=time: m(part, t[b : b + 1], context[b : b + 1]), x)
    for mode, views in (("no", 0), ("front", 1), ("front_and_back", 2), ("4_view", 4)):
        block = fill(SlatBlock(48, 4, 4, 2 * views * 16), f"decoder_{mode}.")
        seen = [given(golden, f"mv_{kind}_{views}") if views else None for kind in ("normal", "color")]
        made[f"decoder_{mode}"] = elements.each(
            lambda b, part, v, m=block, s=seen: m(
                part, windows(v.coords, 8, 4), *(None if t is None else t[elements.rows[b]][None] for t in s)
            ),
            x,
        )
    yield from check(golden, made, 2e-5)


def _voxels(golden: Golden, side: int) -> Voxels:
    return Voxels(torch.from_numpy(golden.arrays["input.coords"])[:, 1:].long(), side)


def slat_flow(golden: Golden) -> Iterator[Line]:
    """One evaluation, every block's output."""
    network: Any = fill(SlatFlow(FLOW))
    seen: dict[str, Tensor] = {}
    voxels = _voxels(golden, 32)
    velocity = network(
        given(golden, "x")[None], voxels, given(golden, "t"), given(golden, "cond"), watch=seen.__setitem__
    )
    yield from check(golden, {"velocity": velocity[0]}, 5e-5)
    yield from check(golden, {k: v if k == "t_emb" else v[0] for k, v in seen.items()}, 5e-5)
    half_torso(network)
    velocity = network(given(golden, "x")[None], voxels, given(golden, "t"), given(golden, "cond"))
    yield from half(golden, {"velocity": velocity[0]})


def slat_flow_sampling(golden: Golden) -> Iterator[Line]:
    """Three runs of the sampler."""
    network: Any = fill(SlatFlow(FLOW))
    runs = {
        "three_steps": SlatSampling(steps=3, interval=(0.7, 1.0)),
        "four_steps": SlatSampling(steps=4),
        "no_guidance": SlatSampling(steps=3, interval=(2.0, 3.0), rescale=1.0),
    }
    voxels, noise = _voxels(golden, 32), given(golden, "noise")[None]
    for name, sampling in runs.items():
        made = {}
        for state in sample_slat(network, voxels, given(golden, "cond"), noise, sampling):
            made |= {f"{name}.x_{state.step}": state.latents[0], f"{name}.x0_{state.step}": state.end[0]}
            last = state.latents
        made[f"{name}.denormalised"] = denormalise(last, sampling)[0]
        yield from check(golden, made, 2e-4)


def _maps(name: str) -> Tensor:
    """(4, 64, 64, 64) maps made by the input rule."""
    return torch.from_numpy(normals_of(f"input.{name}", (1, 4, 64, 64, 64)))[0]


def feature_injection(golden: Golden) -> Iterator[Line]:
    """Projection and look-up in three view modes."""
    layer: Any = fill(nn.Linear(64, 16), "input_layer_color.")
    coords = _voxels(golden, 64).coords
    maps = layer(_maps("feature_injection.map"))
    modes: Any = {"4_view": "4_view", "front_and_back": "front&back", "front": "front"}
    yield from check(golden, {name: lift(maps, coords, mode) for name, mode in modes.items()}, 2e-5)


def decoder_gs(golden: Golden) -> Iterator[Line]:
    """Latents to Gaussians."""
    decoder: Any = fill(GaussianDecoder(GAUSSIAN_DECODER))
    seen: dict[str, Tensor] = {}
    maps = (_maps("decoder_gs.mv_color"), _maps("decoder_gs.mv_normal"))
    made = decoder(given(golden, "slat")[None], _voxels(golden, 64), *maps, watch=seen.__setitem__)
    outputs = {name: value if name == "out_layer" else value[0] for name, value in seen.items()}
    outputs |= {f"raw._{name}": value for name, value in made.raw.items()}
    outputs |= {
        "xyz": made.means, "scaling": made.scales, "rotation": made.quats, "opacity": made.opacities[:, None],
        "offset_perturbation": decoder.offset_perturbation,
        "scale_bias": torch.tensor([slat_gaussians.scale_bias()]),
        "opacity_bias": torch.tensor([slat_gaussians.opacity_bias()]),
    }  # fmt: skip
    yield from check(golden, outputs, 2e-5)
    half_torso(decoder)
    made = decoder(given(golden, "slat")[None], _voxels(golden, 64), *maps)
    yield from half(golden, {"xyz": made.means, "raw._features_dc": made.raw["features_dc"]})


def decoder_mesh(golden: Golden) -> Iterator[Line]:
    """Latents to cubes to a mesh. Its distances are like noise: a face may turn out otherwise where one is almost 0."""
    decoder: Any = fill(SurfaceDecoder(SURFACE_DECODER))
    seen: dict[str, Tensor] = {}
    maps = (_maps("decoder_mesh.mv_color"), _maps("decoder_mesh.mv_normal"))
    voxels = _voxels(golden, 16)
    head, cubes = decoder(given(golden, "slat")[None], voxels, *maps, watch=seen.__setitem__)
    outputs = {
        "blocks.1": seen["blocks.1"][0], "upsample.0": seen["upsample.0"][0],
        "upsample.1_every3": seen["upsample.1"][0, ::3], "out_layer_every3": head[::3],
    }  # fmt: skip
    yield from check(golden, outputs, 5e-5)
    mesh = surface(head, cubes.coords, cubes.side)
    yield from check(golden, {"counts": np.array([len(mesh.vertices), len(mesh.faces)])}, 0.0)
    yield from check(golden, {"vertices_first4000": mesh.vertices[:4000]}, 1e-5)
    yield from check(golden, {"faces_first4000": mesh.faces[:4000]}, 0.0)
    half_torso(decoder)
    head, _ = decoder(given(golden, "slat")[None], voxels, *maps)
    yield from half(golden, {"out_layer_every3": head[::3]})


def stage_2_networks() -> list[Case]:
    """Every recorded file of the second stage's networks."""
    table = {
        "sparse_ops": sparse_ops, "attention": attention, "res_block": res_block,
        "transformer_block": transformer_block, "slat_flow": slat_flow, "slat_flow_sampling": slat_flow_sampling,
        "feature_injection": feature_injection, "decoder_gs": decoder_gs, "decoder_mesh": decoder_mesh,
    }  # fmt: skip
    return [Case(f"{STAGE_2}/{name}", compare) for name, compare in table.items()]
