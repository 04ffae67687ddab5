"""The recorded files of SyncHuman, first stage: how each is computed here, and how far it may be off.

Tolerances are absolute, single precision, about ten times the rounding noise of the recorded computation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.parity import Case, Golden, Line, largest_error
from pipelines.synchuman import conditioning, embeddings, frame, joint_sampling, synchronisation, views
from pipelines.synchuman.configuration import TINY, JointConfig, OccupancyConfig, Quirks
from pipelines.synchuman.joint_network import JointNetwork
from pipelines.synchuman.modulated_block import ModulatedCrossBlock
from pipelines.synchuman.multiview_transformer import MultiviewTransformer
from pipelines.synchuman.occupancy import OccupancyDecoder, occupied
from pipelines.synchuman.stand_in import fill, normals_of

Outputs = Mapping[str, Any]
STAGE_1 = "synchuman_stage1"

JOINT_STEP = replace(TINY.joint, name="joint_step", side=48, grid=8)
FULL_GEOMETRY = JointConfig(
    "joint_step_full_geometry", side=96, channels=(32, 32, 32, 32), heads=(1, 1, 1, 1), layers=1, text=32, label=32,
    grid=16, width=32, depth=3, grid_heads=2, context=32, block_groups=(1, 2, 3), sync_heads=2, sync_head_width=16,
)  # fmt: skip


def judge(
    golden: Golden, outputs: Outputs, tolerance: float | Mapping[str, float], prefix: str = "out."
) -> Iterator[Line]:
    """One line per output that the file holds under `prefix`; whole numbers must be equal."""
    for name, made in outputs.items():
        if prefix + name not in golden:
            if golden.config.get("trimmed"):  # the repository's copies of large files hold a part of the outputs
                continue
            raise KeyError(f"{golden.name} holds no {prefix + name}; it holds {', '.join(golden.arrays)}.")
        wanted = golden.arrays[prefix + name]
        whole = wanted.dtype.kind in "iub"
        allowed = 0.0 if whole else tolerance if isinstance(tolerance, float) else tolerance[name]
        yield Line(golden.name, name, "exact" if allowed == 0 else "single", largest_error(made, wanted), allowed)


def watch_calls(modules: Mapping[str, nn.Module], call: Callable[[], Any]) -> dict[str, Tensor]:
    """What each of the named modules returned during a call (its last use)."""
    seen: dict[str, Tensor] = {}

    def remember(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, given, made: seen.__setitem__(name, made[0] if isinstance(made, tuple) else made)

    hooks = [module.register_forward_hook(remember(name)) for name, module in modules.items()]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def preprocess(golden: Golden) -> Iterator[Line]:
    """Boxes, canvas, face and token picture of a small cut-out."""
    rgba = golden.arrays["in.rgba"]
    outputs: dict[str, Any] = {
        "canvas_box_xyxy_inclusive": np.array(frame.alpha_box(rgba, 0)),
        "opaque_box_xyxy_inclusive": np.array(frame.alpha_box(rgba, frame.OPAQUE)),
    }
    whole = {}
    for side, step in ((96, 1), (768, 8)):
        canvas = frame.place_on_canvas(rgba, side)
        body, face = frame.on_white(canvas), frame.on_white(frame.crop_face(canvas))
        kind = f"{side}_white_float" if step == 1 else f"{side}_every_8th_float"
        outputs |= {f"canvas{kind}": body[::step, ::step], f"face{kind}": face[::step, ::step]}
        whole = {"canvas768_uint8_truncated": frame.to_bytes(body), "face768_uint8_truncated": frame.to_bytes(face)}
    outputs["quantised768_body_face_every_8th"] = np.stack(list(whole.values()))[:, ::8, ::8]
    picture = frame.token_picture(rgba)
    outputs["structure518_every_7th_uint8"] = picture[::7, ::7]
    outputs["structure518_normalised_every_14th"] = frame.normalise(picture)[None, :, ::14, ::14]
    yield from judge(golden, outputs, 1e-6)
    for name, made in {**whole, "structure518_uint8": picture}.items():
        same = hashlib.sha256(np.ascontiguousarray(made).tobytes()).hexdigest() == golden.config["sha256_full"][name]
        yield Line(golden.name, f"sha256 {name}", "exact", 0.0 if same else float("inf"), 0.0)


def conditioning_layout(golden: Golden) -> Iterator[Line]:
    """Class labels and their guided layout. The prompts' part is judged with `prompt_embeds_7view`."""
    labels = conditioning.class_labels(golden.tensor("in.clip_image_embeds"))
    yield from judge(golden, {"class_labels": labels, "class_labels_guided": conditioning.both_halves(labels)}, 0.0)


class Prompts:
    """The prompt tensors and their layout are recorded in two files; the second needs the first."""

    layout: Golden | None = None

    def conditioning(self, golden: Golden) -> Iterator[Line]:
        """Class labels; the prompts wait for the next file."""
        self.layout = golden
        yield from conditioning_layout(golden)

    def tables(self, golden: Golden) -> Iterator[Line]:
        """The rows in use and their guided layout, out of the seven prompts."""
        normal, colour = (torch.from_numpy(golden.arrays[f"out.{name}"]) for name in ("normal", "color"))
        rows = conditioning.prompt_rows(normal, colour)
        known = {"normal": "d92c4319e16a", "color": "3d87a1884e22"}
        for name, start in known.items():
            same = hashlib.sha256(golden.arrays[f"out.{name}"].tobytes()).hexdigest().startswith(start)
            yield Line(golden.name, f"sha256 {name}", "exact", 0.0 if same else float("inf"), 0.0)
        if self.layout is None:
            yield Line(golden.name, "rows", "exact", float("inf"), 0.0, note="compare it together with conditioning")
            return
        made = {
            "prompt_rows_used_first_4_tokens_16_channels": rows[:, :4, :16],
            "prompt_guided_first_4_tokens_16_channels": conditioning.both_halves(rows, rows)[:, :4, :16],
        }
        yield from judge(self.layout, made, 0.0)


def embedders(golden: Golden) -> Iterator[Line]:
    """Sinusoids, time network, position code, patches."""
    time, rounded = golden.tensor("in.t", double=True), torch.from_numpy(golden.arrays["in.t_fp16"]).float()
    embedder = fill(embeddings.TimeEmbedder(64))
    code = embeddings.position_code(embeddings.grid_coords(16), 1024)
    grid = golden.tensor("in.grid")
    patches = embeddings.patchify(grid, 2)
    exact = {
        "patchify2": patches,
        "unpatchify2_of_patchify2": embeddings.unpatchify(patches, 2),
    }
    close = {
        "t_embedding": embedder(time),
        "t_embedding_fp16_rounded": embedder(rounded),
        "pos_emb_1024_res16_rows": code[golden.arrays["in.pos_rows"]],
        "pos_emb_64_res4": embeddings.position_code(embeddings.grid_coords(4), 64),
    }
    sinusoids = {
        "freq_256_cos_sin": embeddings.time_sinusoid(time, 256),
        "time_proj_2d_32": JointNetwork(TINY.joint).time_proj(time),
    }
    yield from judge(golden, exact, 0.0)
    yield from judge(golden, close, 1e-5)
    yield from judge(golden, sinusoids, 1e-4)
    yield from judge(golden, {"pos_emb_1024_res16_rowsum": code.sum(1)}, 1e-3)


def mv_transformer_block(golden: Golden) -> Iterator[Line]:
    """One spatial transformer and its four parts."""
    module: Any = fill(MultiviewTransformer(64, 2, 48))
    block = module.transformer_blocks[0]
    parts = {
        "attn1_after_face_blend": block.attn1, "attn_mv_body_views": block.attn_mv, "attn2": block.attn2,
        "feed_forward": block.ff, "hidden": module,
    }  # fmt: skip
    seen = watch_calls(parts, lambda: module(golden.tensor("in.hidden"), golden.tensor("in.text")))
    yield from judge(golden, seen, 3e-5)


def dit_block(golden: Golden) -> Iterator[Line]:
    """One block of the 3D branch."""
    block: Any = fill(ModulatedCrossBlock(64, 48, 4))
    parts = {"self_attn": block.self_attn, "cross_attn": block.cross_attn, "mlp": block.mlp, "tokens": block}
    given = (golden.tensor(f"in.{name}") for name in ("tokens", "modulation", "context"))
    yield from judge(golden, watch_calls(parts, lambda: block(*given)), 1e-5)


def sync_2d_to_3d(golden: Golden) -> Iterator[Line]:
    """Pictures to voxels."""
    block: Any = fill(synchronisation.PicturesToVoxels(64, 64, 4, 16, 8))
    pictures, tokens = golden.tensor("in.mv"), golden.tensor("in.structure")
    pooled = block.pooled(pictures)
    made = {
        "image_downsampled_view0": pooled[:, 0],
        "kv_first_96_voxels": synchronisation.voxel_reads(pooled)[0, :96],
        "structure": block(pictures, tokens),
    }
    yield from judge(golden, made, 2e-5)


def sync_3d_to_2d(golden: Golden) -> Iterator[Line]:
    """Voxels to pictures."""
    block: Any = fill(synchronisation.VoxelsToPictures(96, 64, 4, 16, 6))
    pictures, tokens = golden.tensor("in.mv"), golden.tensor("in.structure")
    pooled = block.pooled(tokens)
    front, side = synchronisation.column_reads(pooled)
    made = {
        "voxels_downsampled_b0": pooled[:1],
        "kv_view0_b0": front[0],
        "kv_view1_b0_first6": side[0, :6],
        "mv": block(pictures, tokens),
    }
    yield from judge(golden, made, 3e-5)


def _joint(golden: Golden, config: JointConfig, guided: bool) -> dict[str, Tensor]:
    """One evaluation of the whole network on a file's inputs; the states seen on the way and both velocities."""

    def given(name: str) -> Tensor:
        if f"in.{name}" in golden:
            return golden.tensor(f"in.{name}")
        shape = (10, 4, config.side, config.side)
        return torch.from_numpy(normals_of(f"input:{golden.name}:{name}", shape))

    network: Any = fill(JointNetwork(config))
    latents, image = given("latents"), given("image_latents")
    grid, text, labels, dino = given("structure_latent"), given("text"), given("class_labels"), given("dino")
    if guided:
        latents, image, labels = (
            conditioning.both_halves(latents, latents), conditioning.both_halves(image), conditioning.both_halves(labels)
        )  # fmt: skip
        text, grid, dino = (
            conditioning.both_halves(text, text),
            grid.expand(2, -1, -1, -1, -1),
            torch.cat([0 * dino, dino]),
        )
    seen: dict[str, Tensor] = {}
    pictures = torch.cat([latents, image], 1)
    time = torch.from_numpy(golden.arrays["in.t2d"])
    seen["v2d"], seen["v3d"] = network(pictures, grid, time, given("t3d"), text, labels, dino, watch=seen.__setitem__)
    return seen


def joint_step(golden: Golden) -> Iterator[Line]:
    """One guided evaluation of the whole network."""
    seen = _joint(golden, JOINT_STEP, guided=True)
    made = {"v2d": seen["v2d"], "v3d": seen["v3d"]}
    yield from judge(golden, made, {"v2d": 5e-5, "v3d": 3e-5})
    four, between = [0, 4, 9, 15], {}
    for name in ("s_after_sync_3d_to_2d_0", "s_after_sync_3d_to_2d_1", "s_mid"):
        between[f"{name}_items_0_4_9_15"] = seen[name][four]
    between["s_down1_items_0_4_14"] = seen["s_down1"][[0, 4, 14]]
    for name in ("h_after_sync_2d_to_3d_0", "h_after_sync_2d_to_3d_1", "h_group1", "h_group2", "h_group3"):
        between[f"{name}_item1"] = seen[name][1]
    yield from judge(golden, between, 5e-4)
    yield from judge(golden, {name: seen[name] for name in ("class_emb", "time_emb", "t3_emb")}, 1e-5)


def joint_step_full_geometry(golden: Golden) -> Iterator[Line]:
    """The same at the real sides 96, 24, 12, 16, with few channels and without guidance."""
    seen = _joint(golden, FULL_GEOMETRY, guided=False)
    made = {"v2d_every_4th_pixel": seen["v2d"][..., ::4, ::4], "v3d": seen["v3d"]}
    yield from judge(golden, made, {"v2d_every_4th_pixel": 5e-5, "v3d": 3e-5})
    between = {f"h_after_sync_2d_to_3d_{i}_every_8th_token": seen[f"h_after_sync_2d_to_3d_{i}"][:, ::8] for i in (0, 1)}
    between |= {f"s_after_sync_3d_to_2d_{i}": seen[f"s_after_sync_3d_to_2d_{i}"] for i in (0, 1)}
    yield from judge(golden, between, 4e-4)
    yield from judge(golden, {"time_emb": seen["time_emb"]}, 1e-5)


def occupancy_decoder(golden: Golden) -> Iterator[Line]:
    """Latent grid to logits and voxels."""
    decoder: Any = fill(OccupancyDecoder(OccupancyConfig(channels=(32, 16, 8))))
    parts = {"middle": decoder.middle_block, "after_first_upsample": decoder.blocks[2], "logits": decoder}
    made = watch_calls(parts, lambda: decoder(golden.tensor("in.latent")))
    yield from judge(golden, made, 3e-5)
    shuffled = embeddings.unpatchify(golden.tensor("in.shuffle"), 2)
    yield from judge(golden, {"coords": occupied(made["logits"]), "pixel_shuffle_3d": shuffled}, 0.0)


class SamplingLoop:
    """Three guided steps. The exact-time file holds results only: its inputs are the first file's."""

    inputs: Golden | None = None

    def rounded(self, golden: Golden) -> Iterator[Line]:
        """With the 3D time rounded to float16, as released."""
        self.inputs = golden
        states = list(self._run(golden, True))
        schedule = joint_sampling.times(3)
        moments = [joint_sampling.network_times(float(t), True) for t in schedule[:3]]
        tokens = conditioning.normalised_tokens(golden.tensor("in.x_prenorm"))
        yield from judge(golden, {"t_unit": schedule, "t_2d": [float(m[0]) for m in moments]}, 1e-12)
        yield from judge(golden, {"t_3d": [float(m[1]) for m in moments]}, 0.0)
        yield from judge(golden, {"dino_tokens_normalised": tokens}, 1e-5)
        for i, state in enumerate(states):
            yield from judge(golden, {f"step{i}_v2d_guided": state.velocities[0]}, 2e-4)
        grids = {f"step{i}_structure_latent_in": states[i - 1].grid for i in (1, 2)}
        yield from judge(golden, grids, 1e-4)
        yield from judge(golden, {"step1_latents_in": states[0].latents}, 2e-4)
        yield from self._final(golden, states[-1])
        if not golden.config.get("trimmed"):
            yield from self._raw(golden, states)
        decoder: Any = fill(OccupancyDecoder(TINY.occupancy))
        logits = decoder(states[-1].grid)
        yield from judge(golden, {"logits": logits, "coords": occupied(logits)}, 3e-5)

    def exact(self, golden: Golden) -> Iterator[Line]:
        """With the exact 3D time."""
        if self.inputs is None:
            yield Line(
                golden.name, "inputs", "single", float("inf"), 0.0, note="compare it together with sampling_loop"
            )
            return
        exact = np.float32(1000 * joint_sampling.times(3)[:3])  # what the sinusoid is made of
        yield from judge(golden, {"t_3d": exact}, 1e-9)
        yield from self._final(golden, list(self._run(self.inputs, False))[-1])

    def _run(self, golden: Golden, rounded: bool) -> Iterator[joint_sampling.JointState]:
        network, conditions, noise = self._parts(golden, rounded)
        return joint_sampling.sample_joint(network, conditions, noise, steps=3)

    def _raw(self, golden: Golden, states: list[joint_sampling.JointState]) -> Iterator[Line]:
        """The velocities of both guidance halves before they are joined."""
        network, conditions, noise = self._parts(golden, True)
        before = [noise, *((state.latents, state.grid) for state in states)]
        yield from judge(golden, {"step0_structure_latent_in": noise[1]}, 0.0)
        for i in range(3):
            moments = joint_sampling.network_times(float(joint_sampling.times(3)[i]), True)
            v2d, v3d = joint_sampling.guided_velocities(network, conditions, *before[i], moments)
            yield from judge(golden, {f"step{i}_v3d_raw": torch.cat(v3d)}, 3e-5)
            if i == 1:
                picked = torch.stack([v2d[0][0], v2d[1][0], v2d[0][5], v2d[1][5]])
                yield from judge(golden, {"step1_v2d_raw_items_0_5_10_15": picked}, 5e-5)

    @staticmethod
    def _parts(golden: Golden, rounded: bool) -> tuple[Any, conditioning.Conditions, tuple[Tensor, Tensor]]:
        network: Any = fill(JointNetwork(replace(TINY.joint, quirks=Quirks(round_time_3d=rounded))))
        conditions = conditioning.Conditions(
            golden.tensor("in.text"),
            conditioning.class_labels(golden.tensor("in.clip_embeds")),
            golden.tensor("in.vae_mode") * joint_sampling.VAE_SCALE,
            conditioning.normalised_tokens(golden.tensor("in.x_prenorm")),
        )
        return network, conditions, (golden.tensor("in.noise_2d"), golden.tensor("in.noise_3d"))

    @staticmethod
    def _final(golden: Golden, state: joint_sampling.JointState) -> Iterator[Line]:
        made = {"latents_final": state.latents, "structure_latent_final": state.grid}
        yield from judge(golden, made, {"latents_final": 2e-4, "structure_latent_final": 1e-4})


def euler_half(golden: Golden) -> Iterator[Line]:
    """Guidance and one step in the released precision, bit for bit."""
    half = {
        name: torch.from_numpy(golden.arrays[f"in.{name}"]) for name in ("v_uncond", "v_cond", "w_uncond", "w_cond")
    }
    v, w = (joint_sampling.guide(half[f"{k}_uncond"], half[f"{k}_cond"], 3.0) for k in "vw")
    schedule, step = joint_sampling.times(50), golden.config["step_index"]
    at, following = float(schedule[step]), float(schedule[step + 1])
    latents, grid = (torch.from_numpy(golden.arrays[f"in.{name}"]) for name in ("latents", "structure"))
    made = {
        "v": v, "w": w, "latents_next": joint_sampling.euler(latents, v, at, following),
        "structure_next": joint_sampling.euler(grid, w, at, following),
    }  # fmt: skip
    yield from judge(golden, made, 0.0)
    yield from judge(golden, {"t_all": schedule}, 1e-15, prefix="in.")
    rounded = torch.cat([joint_sampling.network_times(float(t), True)[1] for t in schedule])
    yield from judge(golden, {"t_fp16_3d": rounded}, 0.0, prefix="in.")


def output_assembly(golden: Golden) -> Iterator[Line]:
    """The saved files, from float16 pictures bit for bit and from float32 ones within a level."""
    decoded, canvas = torch.from_numpy(golden.arrays["in.decoded_images"]), golden.tensor("in.input_canvas")
    for precision, images, allowed in (("half", decoded, 0.0), ("single", decoded.float(), 1.0)):
        made = views.assemble(images, canvas)
        plain = made.unmirrored()
        outputs = {
            "file_color_0": made.colours[0], "file_color_1": made.colours[1], "file_color_4": made.colours[4],
            "file_normal_0": made.normals[0], "file_normal_3": made.normals[3], "file_normal_4": made.normals[4],
            "file_concat_every_2nd": made.concat()[::2, ::2],
            "unmirrored_color_2": plain.colours[2], "unmirrored_color_3": plain.colours[3],
        }  # fmt: skip
        for name, picture in outputs.items():
            error = largest_error(picture, golden.arrays[f"out.{name}"])
            yield Line(golden.name, name, precision, error, allowed)
    coords = views.saved_coords(torch.from_numpy(golden.arrays["in.coords"]))
    yield from judge(golden, {"npz_coords": coords}, 0.0)


def stage_1() -> list[Case]:
    """Every recorded file of the first stage."""
    prompts, loop = Prompts(), SamplingLoop()
    table: dict[str, Callable[[Golden], Iterator[Line]]] = {
        "preprocess": preprocess,
        "conditioning": prompts.conditioning,
        "prompt_embeds_7view": prompts.tables,
        "embedders": embedders,
        "mv_transformer_block": mv_transformer_block,
        "dit_block": dit_block,
        "sync_2d_to_3d": sync_2d_to_3d,
        "sync_3d_to_2d": sync_3d_to_2d,
        "joint_step": joint_step,
        "joint_step_full_geometry": joint_step_full_geometry,
        "occupancy_decoder": occupancy_decoder,
        "sampling_loop": loop.rounded,
        "sampling_loop_exact_time": loop.exact,
        "euler_half": euler_half,
        "output_assembly": output_assembly,
    }
    return [Case(f"{STAGE_1}/{name}", compare) for name, compare in table.items()]
