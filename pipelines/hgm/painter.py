"""Image to image with a ControlNet, on diffusers' networks and scheduler: the refiner of HGM's back view.

The computation is that of diffusers' StableDiffusionControlNetImg2ImgPipeline with the control picture as start picture
(a test compares the two where its text encoder's package is installed). The loop is here so that it can be cancelled and
shown between steps, and because the prompts never change: their embeddings are all that is left of the text encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.hgm.prompt_words import words_of
from pipelines.hgm.stand_in import fill
from pipelines.records import Floats
from pipelines.step import UserError

PROMPT, NEGATIVE = "best quality", "blur, lowres, bad anatomy, bad hands, cropped, worst quality"
STEM = "diffusion_pytorch_model"
ENDINGS = ("safetensors", "bin", "fp16.safetensors", "fp16.bin")
# The scheduler of the Stable Diffusion 1.5 repository.
PNDM = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
        "skip_prk_steps": True, "steps_offset": 1, "set_alpha_to_one": False}  # fmt: skip


@dataclass(frozen=True)
class Painter:
    """The networks on one device. words: (2, T, C) embeddings of the negative and of the positive prompt."""

    unet: Any
    controlnet: Any
    vae: Any
    scheduler: Any
    words: Tensor

    def paint(
        self, picture: Floats, strength: float, steps: int, guidance: float, control: float,
        generator: torch.Generator, progress: Callable[[float], None],
    ) -> Floats:  # fmt: skip
        """(S, S, 3) 0..1 -> the same painted over. generator: on the CPU, so that devices draw the same numbers.

        strength: share of the steps that is taken. UserError when that leaves none.
        """
        device, kind = self.words.device, self.words.dtype
        hint = torch.from_numpy(picture).permute(2, 0, 1)[None]
        self.scheduler.set_timesteps(steps, device=device)
        taken = min(int(steps * strength), steps)
        if taken < 1:
            raise UserError(
                f"hgm.back.strength {strength:g} of {steps} steps leaves none; raise the strength or the number of steps."
            )
        times = self.scheduler.timesteps[(steps - taken) * self.scheduler.order :]
        with torch.inference_mode():
            start = self.vae.encode((2 * hint - 1).to(device, kind)).latent_dist.sample(generator)
            start = start * self.vae.config.scaling_factor
            noise = torch.randn(start.shape, generator=generator, dtype=kind).to(device)
            latent = self.scheduler.add_noise(start, noise, times[:1])
            hints = torch.cat([hint, hint]).to(device, kind)
            for i, time in enumerate(times):
                progress(i / len(times))
                both = self.scheduler.scale_model_input(torch.cat([latent, latent]), time)
                down, middle = self.controlnet(both, time, self.words, hints, control, return_dict=False)
                guess = self.unet(both, time, self.words, down_block_additional_residuals=down,
                                  mid_block_additional_residual=middle, return_dict=False)[0]  # fmt: skip
                without, wanted = guess.chunk(2)
                latent = self.scheduler.step(without + guidance * (wanted - without), time, latent, return_dict=False)[
                    0
                ]
            made = self.vae.decode(latent / self.vae.config.scaling_factor, return_dict=False)[0]
        rgb = (made[0].float().cpu() / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).numpy()
        if not np.isfinite(rgb).all():
            raise UserError("The diffusion network returned numbers that are not finite; check its weight files.")
        # 8 bits, as the pipeline returns.
        return (np.round(rgb * 255.0) / 255.0).astype(np.float32)


def stand_in_painter(device: str) -> Painter:
    """Networks of the same make, a few thousand times smaller, with seeded random weights: what they paint is noise."""
    from diffusers import AutoencoderKL, ControlNetModel, PNDMScheduler, UNet2DConditionModel

    widths, words = (32, 64), 32
    # A quarter of the picture's side, where the released one has an eighth.
    scales = (16, 32, 32)
    shape: dict[str, Any] = {
        "block_out_channels": widths, "layers_per_block": 1, "cross_attention_dim": words, "attention_head_dim": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    }  # fmt: skip
    unet = UNet2DConditionModel(sample_size=16, up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **shape)
    controlnet = ControlNetModel(conditioning_embedding_out_channels=scales, **shape)
    vae = AutoencoderKL(
        block_out_channels=scales, latent_channels=4, down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, norm_num_groups=16, scaling_factor=0.18215,
    )  # fmt: skip
    parts: dict[str, Any] = {"unet.": unet, "controlnet.": controlnet, "vae.": vae}
    for name, part in parts.items():
        fill(part, name).requires_grad_(False).to(device)
    generator = torch.Generator().manual_seed(0)
    made = torch.randn((2, 8, words), generator=generator).to(device)
    return Painter(unet, controlnet, vae, PNDMScheduler(**PNDM), made)


def released_painter(diffusion: Path, controlnet: Path, device: str) -> Painter:
    """Stable Diffusion 1.5 and a tile ControlNet from local folders in diffusers' layout; half precision on CUDA.

    UserError for folders that cannot be read or do not hold the whole networks. Nothing is fetched, and of .bin files
    nothing but tensors is read: the published tile ControlNet comes as one.
    """
    from diffusers import AutoencoderKL, ControlNetModel, PNDMScheduler, UNet2DConditionModel

    kind = torch.float16 if device == "cuda" else torch.float32
    try:
        unet = read_network(UNet2DConditionModel, diffusion / "unet", kind)
        vae = read_network(AutoencoderKL, diffusion / "vae", kind)
        scheduler = PNDMScheduler.from_pretrained(diffusion, subfolder="scheduler", local_files_only=True)
        control = read_network(ControlNetModel, controlnet, kind)
        words = words_of(diffusion, [NEGATIVE, PROMPT])
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"'{diffusion.name}' and '{controlnet.name}' came as the diffusion networks, and could not be read ({error}); "
            "they need to be whole folders in diffusers' layout, Stable Diffusion 1.5 and a ControlNet for it."
        ) from error
    for part in (unet, vae, control):
        part.eval().requires_grad_(False).to(device)
    return Painter(unet, control, vae, scheduler, words.to(device, kind))


def read_network(make: Any, folder: Path, kind: torch.dtype) -> Any:
    """A network of diffusers from a folder, every key in its place; ValueError when some are not there.

    Of several files the safe and the precise one comes first.
    """
    found = next((e for e in ENDINGS if (folder / f"{STEM}.{e}").is_file()), None)
    if found is None:
        raise ValueError(f"'{folder.name}' holds no {STEM} with the ending {' or '.join(ENDINGS)}")
    network, told = make.from_pretrained(
        folder, torch_dtype=kind, local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True,
        use_safetensors=found.endswith("safetensors"), variant="fp16" if found.startswith("fp16.") else None,
    )  # fmt: skip
    if missing := sorted(told["missing_keys"]):
        raise ValueError(f"'{folder.name}' lacks {len(missing)} of the network's tensors, first {missing[0]}")
    return network
