"""The work of the step `synchuman.voxels`."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.step import Context, UserError
from pipelines.synchuman.lending import Lender
from pipelines.synchuman.occupancy import occupied
from pipelines.synchuman.records import Framed, JointSample, TenPictures, VoxelSet
from pipelines.synchuman.view_pictures import foreground

MANY = 60_000  # voxels; a person has 15,000 to 30,000, and memory and time grow with them
TOUCHED = 0.25  # share of a cell that the person must cover to count as there
POORLY = 0.8  # overlap of outlines below which somebody should look


@torch.inference_mode()
def fill_voxels(
    frame: Framed, joint: JointSample, pictures: TenPictures, inside_outline: bool, preset: str, ctx: Context
) -> VoxelSet:
    """See the step. UserError when nothing is filled."""
    lender = Lender(preset, ctx, names=("sparse_structure_decoder",))
    ctx.progress(0.0, "networks")
    with lender.network("sparse_structure_decoder") as decoder:
        like = next(decoder.parameters())
        growth, estimates = [], []
        for i, (number, grid) in enumerate(zip(joint.strip_steps, joint.strip_grids, strict=True)):
            filled = (decoder(torch.from_numpy(grid.astype(np.float32))[None].to(like))[0, 0] > 0).cpu().numpy()
            growth.append((int(number), int(filled.sum())))
            estimates.append(VoxelSet.pack(filled))
            ctx.progress((i + 1) / (len(joint.strip_steps) + 2), f"{growth[-1][1]} voxels after step {number}")
        logits = decoder(torch.from_numpy(joint.grid).to(like)).float().cpu()
    side = logits.shape[-1]
    coords = occupied(logits)[:, 1:].numpy().astype(np.int32)
    outlines = outlines_of(frame, pictures, side)
    if inside_outline:
        coords = coords[outlines[0][side - 1 - coords[:, 2], coords[:, 0]]]
    if not len(coords):
        raise UserError("The latent grid fills no voxel, so there is nothing to go on with; try another seed or photo.")
    if len(coords) > MANY:
        ctx.warn(f"{len(coords)} voxels are filled, which is more than a person needs; look at them before going on.")
    overlaps = {name: overlap(coords, outlines[i], i) for i, name in enumerate(("front", "side"))}
    if min(overlaps.values()) < POORLY:
        ctx.warn(
            f"The voxels and the pictures disagree: their outlines overlap by {100 * overlaps['front']:.0f} % in front and "
            f"{100 * overlaps['side']:.0f} % from the side."
        )
    facts = {**lender.facts, "count": len(coords), **{k: round(v, 4) for k, v in overlaps.items()}}
    sure = logits[0, 0].numpy()[tuple(coords.T)].clip(max=6e4).astype(np.float16)
    return VoxelSet(coords, side, sure, np.array(growth, np.int32), np.stack(estimates), facts)


def outlines_of(frame: Framed, pictures: TenPictures, side: int) -> list[NDArray[np.bool_]]:
    """(side, side) rows downwards: where the front and the side picture show the person, in cells of the cube."""
    masks = [foreground(pictures.normals[view]).astype(np.float32) for view in (0, 1)]
    if pictures.facts.get("front_is_photo"):
        masks[0] = (frame.canvas[..., 3] > 127).astype(np.float32)
    return [np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)) > TOUCHED for mask in masks]


def overlap(coords: NDArray[np.int32], outline: NDArray[np.bool_], view: int) -> float:
    """Intersection over union of the voxels' silhouette (view 0: along y, 1: along x) with an outline."""
    side = len(outline)
    silhouette = np.zeros((side, side), bool)
    silhouette[side - 1 - coords[:, 2], coords[:, view]] = True
    return float((silhouette & outline).sum() / max((silhouette | outline).sum(), 1))
