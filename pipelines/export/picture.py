"""Pictures of a result from any side, drawn on the CPU: splats, textured mesh, or the fitted body.

A picture is (H, W, 4) float32 0..1, sRGB with straight alpha, like every image here.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.body.read_body import body_vertices
from pipelines.export.bundle import Bundle, need, pivot
from pipelines.export.finite import finite_mesh, finite_splats
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_picture import render_mesh
from pipelines.geometry.splat_raster import render_numpy
from pipelines.records import Body, Splats
from pipelines.step import UserError

What = Literal["splats", "mesh", "body"]
Picture = NDArray[np.float32]


def render_view(bundle: Bundle, what: What, camera: Camera, size: int) -> Picture:
    """`what` of the bundle seen by `camera`, with `size` pixels on the longer side.

    Returns (H, W, 4) straight alpha. UserError when the run does not have it, or the size is not 1..8192.
    """
    if not 1 <= size <= 8192:
        raise UserError(f"The picture's size came as {size}; it needs 1 to 8192 pixels.")
    camera = longer_side(camera, size)
    if what == "splats":
        return splat_picture(need(bundle, "splats"), camera)
    if what == "mesh":
        mesh, _ = finite_mesh(need(bundle, "mesh"))
        return render_mesh(mesh.vertices, mesh.faces, camera, uv=mesh.uv, texture=mesh.texture)
    if what == "body":
        return body_picture(need(bundle, "body"), camera)
    raise UserError(f"'{what}' cannot be drawn; splats, mesh and body can.")


def side_camera(body: Body, azimuth: float, elevation: float | None, size: int) -> Camera:
    """The photo's lens in a square of `size` pixels, walked `azimuth` degrees around the pelvis.

    0 is the photo's side, 90 the person's left. elevation: degrees above the horizontal; None keeps the
    photo's.
    """
    return body.camera.square(size).orbited(azimuth, elevation, pivot(body))


def longer_side(camera: Camera, size: int) -> Camera:
    """The same view with `size` pixels on the longer side."""
    scale = size / max(camera.width, camera.height)
    return camera.resized(max(round(camera.width * scale), 1), max(round(camera.height * scale), 1))


def splat_picture(splats: Splats, camera: Camera) -> Picture:
    """The splats drawn front to back -> (H, W, 4) straight alpha."""
    splats, _ = finite_splats(splats)
    image = render_numpy(
        splats.means, splats.quats, splats.scales, splats.opacities, splats.colours,
        camera.world_to_camera, camera.K, camera.width, camera.height,
    )  # fmt: skip
    alpha = np.clip(image.alpha, 0.0, 1.0)[..., None]
    # Over black the colours come multiplied by alpha; straight alpha wants them undivided.
    colours = np.divide(image.features, alpha, out=np.zeros_like(image.features), where=alpha > 1e-4)
    return np.concatenate([np.clip(colours, 0.0, 1.0), alpha], axis=2).astype(np.float32)


def body_picture(body: Body, camera: Camera) -> Picture:
    """The fitted body in clay -> (H, W, 4) straight alpha."""
    vertices, faces = body_vertices(body)
    return render_mesh(vertices, faces, camera, "clay")


def laid_over(under: Picture, top: Picture) -> Picture:
    """Pictures (H, W, 4) straight alpha, one over the other."""
    above, below = top[..., 3:], under[..., 3:] * (1 - top[..., 3:])
    alpha = above + below
    rgb = (top[..., :3] * above + under[..., :3] * below) / np.maximum(alpha, 1e-6)
    return np.concatenate([rgb, alpha], -1).astype(np.float32)


def over(picture: Picture, ground: NDArray[np.floating]) -> Picture:
    """(H, W, 4) straight alpha over an opaque (H, W, 3) or (3,) ground -> (H, W, 3)."""
    alpha = picture[..., 3:]
    return (picture[..., :3] * alpha + np.asarray(ground, np.float32) * (1.0 - alpha)).astype(np.float32)
