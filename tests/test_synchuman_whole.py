"""All networks of the stand-in preset in a row: from a cut-out to splats and a surface. The shapes must fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.synchuman import conditioning, frame, joint_sampling, slat_sampling, view_pictures, views  # noqa: E402
from pipelines.synchuman.configuration import TINY  # noqa: E402
from pipelines.synchuman.cubes_to_surface import surface  # noqa: E402
from pipelines.synchuman.networks import stand_in  # noqa: E402
from pipelines.synchuman.occupancy import occupied  # noqa: E402
from pipelines.synchuman.picture_embedding import prepare  # noqa: E402
from pipelines.synchuman.stand_in import normals_of  # noqa: E402
from pipelines.synchuman.voxels import Voxels  # noqa: E402


def to_views(rgba: np.ndarray) -> tuple[views.Views, Any, Any]:
    """First stage: the views, the occupied voxels, the image tokens."""
    side = 8 * TINY.joint.side
    canvas = frame.place_on_canvas(rgba, side)
    pair = [frame.to_bytes(frame.on_white(picture)) for picture in (canvas, frame.crop_face(canvas))]
    items = [0, 0, 0, 0, 1] * 2
    vae: Any = stand_in("vae")
    embedding: Any = stand_in("image_encoder")
    tokens: Any = stand_in("dinov2")
    pictures = torch.from_numpy(np.stack(pair)).permute(0, 3, 1, 2).float() / 127.5 - 1
    latents = vae.encode(pictures).latent_dist.mode() * joint_sampling.VAE_SCALE
    labels = conditioning.class_labels(
        embedding(torch.from_numpy(np.stack([prepare(p, TINY.embedding.side) for p in pair])))[items]
    )
    photo = torch.from_numpy(frame.normalise(frame.token_picture(rgba, 14 * 6)))[None]
    context = conditioning.normalised_tokens(tokens(photo))
    text = torch.from_numpy(normals_of("test.text", (10, 7, TINY.joint.text)))
    conditions = conditioning.Conditions(text, labels, latents[items], context)
    network: Any = stand_in("joint_network")
    states = joint_sampling.sample_joint(network, conditions, joint_sampling.draw_noise(network, 43), steps=1)
    state = list(states)[-1]
    decoded = [vae.decode(latent[None] / joint_sampling.VAE_SCALE).sample for latent in state.latents]
    images = (torch.cat(decoded) / 2 + 0.5).clamp(0, 1)
    white = torch.from_numpy(frame.on_white(canvas)).permute(2, 0, 1)
    decoder: Any = stand_in("sparse_structure_decoder")
    return views.assemble(images, white), occupied(decoder(state.grid)), context


def test_from_a_cut_out_to_splats_and_a_surface() -> None:
    torch.set_num_threads(1)
    rgba = np.zeros((80, 60, 4), np.uint8)
    rgba[10:70, 20:40] = (180, 120, 90, 255)
    with torch.inference_mode():
        made, coords, context = to_views(rgba)
        assert len(made.colours) == len(made.normals) == 5 and made.colours[0].shape == (192, 192, 3)
        voxels = Voxels(coords[::12, 1:].long(), TINY.flow.resolution)
        assert 20 < len(voxels) < 400
        flow: Any = stand_in("slat_flow_model")
        sampling = replace(TINY.sampling, steps=2)
        noise = slat_sampling.draw_noise(voxels, TINY.flow.channels, 1)
        last = list(slat_sampling.sample_slat(flow, voxels, context, noise, sampling))[-1]
        latents = slat_sampling.denormalise(last.latents, sampling)
        tokens: Any = stand_in("dinov2")
        maps = []
        for pictures in (made.colours, made.normals):
            batch = view_pictures.as_batch(pictures[:4], 192)
            maps.append(tokens.maps(view_pictures.for_encoder(batch, 14 * TINY.decoder.resolution), (0, 1, 2, 3)))
        splats: Any = stand_in("slat_decoder_gs")
        gaussians = splats(latents, voxels, *maps)
        cubes: Any = stand_in("slat_decoder_mesh")
        head, fine = cubes(latents, voxels, *maps)
    mesh = surface(head, fine.coords, fine.side)
    assert gaussians.means.shape == (32 * len(voxels), 3)
    centre = (voxels.coords.repeat_interleave(32, 0) + 0.5) / TINY.decoder.resolution - 0.5
    assert float((gaussians.means - centre).abs().max()) <= 0.75 / TINY.decoder.resolution + 1e-6
    assert fine.side == 4 * TINY.decoder.resolution and len(fine) == 64 * len(voxels)
    assert len(mesh.faces) > 100 and np.isfinite(mesh.vertices).all() and mesh.faces.max() < len(mesh.vertices)
    assert np.abs(mesh.vertices).max() <= 0.5 + 1 / fine.side
