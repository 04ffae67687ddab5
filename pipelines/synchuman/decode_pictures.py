"""The work of the step `synchuman.views`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from pipelines.step import Context
from pipelines.synchuman.configuration import face_share
from pipelines.synchuman.frame import on_white
from pipelines.synchuman.lending import Lender
from pipelines.synchuman.networks import decode_latents
from pipelines.synchuman.records import Framed, JointSample, TenPictures
from pipelines.synchuman.views import assemble

if TYPE_CHECKING:
    from pipelines.synchuman.steps.pictures import PicturesParams


@torch.inference_mode()
def decode_pictures(
    frame: Framed, joint: JointSample, params: PicturesParams, preset: str, ctx: Context
) -> TenPictures:
    """See the step. One picture at a time: decoding ten at once is a peak of memory."""
    lender = Lender(preset, ctx, names=("vae",))
    latents, images = torch.from_numpy(joint.latents), []
    with lender.network("vae") as vae:
        like = next(vae.parameters())
        for i, latent in enumerate(latents):
            ctx.progress(i / (len(latents) + 1), f"picture {i + 1} of {len(latents)}")
            images.append(decode_latents(vae, latent[None], like).cpu())
    canvas = torch.from_numpy(on_white(frame.canvas)).permute(2, 0, 1)
    made = assemble(
        torch.cat(images), canvas, keep_generated_front=params.keep_generated_front, paste_face=params.paste_face,
        face_share=face_share(lender.facts),
    )  # fmt: skip
    colours, normals = np.stack(made.colours), np.stack(made.normals)
    small = [np.concatenate(list(part[:, ::4, ::4]), 1) for part in (normals, colours)]
    ctx.progress(0.98, "ten pictures", np.concatenate(small).astype(np.float32) / 255)
    return TenPictures(colours, normals, {**lender.facts, "front_is_photo": not params.keep_generated_front})
