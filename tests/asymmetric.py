"""The asymmetric test person: the LEFT hand raised, facing +z, y up, every side in its own colour.

Front red, back blue, the person's left (+x) green, the person's right (-x) yellow, top white, underside
black. The colours of the mesh come from one texture whose tiles all differ, so that a flipped or transposed
texture shows. `stands_right` is the judge that every format shares: it takes points and colours as some
reader found them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.export.bundle import Bundle
from pipelines.geometry.cameras import Camera, intrinsics, look_at
from pipelines.geometry.rotations import quaternion_from_matrix
from pipelines.records import Body, Cutout, Keypoints, Mesh, Photo, Splats, ViewSet

# name: (centre, half sizes) in metres of the display frame
BOXES = {
    "torso": ((0.0, 1.15, 0.0), (0.22, 0.30, 0.12)),
    "head": ((0.0, 1.62, 0.02), (0.10, 0.13, 0.11)),
    "left leg": ((0.11, 0.43, 0.0), (0.09, 0.43, 0.09)),
    "right leg": ((-0.11, 0.43, 0.0), (0.09, 0.43, 0.09)),
    "left arm, raised": ((0.32, 1.68, 0.0), (0.06, 0.30, 0.06)),
    "right arm": ((-0.30, 1.15, 0.0), (0.06, 0.29, 0.06)),
}
# outward normal, colour, tile (column, row from the top) of the texture
SIDES = {
    "front": ((0, 0, 1), (0.9, 0.1, 0.1), (0, 0)),
    "back": ((0, 0, -1), (0.1, 0.1, 0.9), (1, 0)),
    "left": ((1, 0, 0), (0.1, 0.8, 0.1), (2, 0)),
    "right": ((-1, 0, 0), (0.9, 0.8, 0.1), (0, 1)),
    "top": ((0, 1, 0), (0.95, 0.95, 0.95), (1, 1)),
    "under": ((0, -1, 0), (0.05, 0.05, 0.05), (2, 1)),
}
TILE = 16  # pixels; the texture is three tiles wide and two high
PELVIS = np.array([0.0, 0.95, 0.0])


def _frame(normal: NDArray) -> NDArray:
    """(3, 3) rotation whose columns are two tangents and `normal`."""
    helper = np.array([0.0, 1.0, 0.0]) if abs(normal[1]) < 0.5 else np.array([0.0, 0.0, 1.0])
    first = np.cross(helper, normal)
    return np.stack([first, np.cross(normal, first), normal], axis=1)


def person_mesh() -> Mesh:
    """Six boxes, each closed; 144 vertices (24 a box), 72 triangles; texture 48 x 32 pixels."""
    texture = np.zeros((2 * TILE, 3 * TILE, 3), np.float32)
    vertices, normals, uv, faces, weld = [], [], [], [], []
    for centre, half in BOXES.values():
        first_of_box = len(vertices)
        for normal, colour, (column, row) in SIDES.values():
            texture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = colour
            rotation = _frame(np.array(normal, float))
            start = len(vertices)
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner = np.array(centre) + np.array(half) * (rotation @ (a, b, 1.0))
                same = [i for i in range(first_of_box, len(vertices)) if np.allclose(vertices[i], corner, atol=1e-9)]
                weld.append(same[0] if same else len(vertices))
                vertices.append(corner)
                normals.append(normal)
                # Row 0 of the texture is its top; v runs upwards from the lower edge.
                uv.append(((column + 0.5 + 0.4 * a) / 3, 1 - (row + 0.5 - 0.4 * b) / 2))
            faces += [(start, start + 1, start + 2), (start, start + 2, start + 3)]
    number = np.arange(len(vertices))
    return Mesh(
        vertices=np.array(vertices, np.float32),
        faces=np.array(faces, np.int32),
        normals=np.array(normals, np.float32),
        uv=np.array(uv, np.float32),
        texture=texture,
        seen=(number % 3).astype(np.uint8),
        weld=np.array(weld, np.int32),
    )


def person_splats(spacing: float = 0.03) -> Splats:
    """Flat splats on the six boxes, about `spacing` metres apart; their third axis is the surface normal."""
    means, quats, colours, codes = [], [], [], []
    for centre, half in BOXES.values():
        for code, (normal, colour, _) in enumerate(SIDES.values()):
            rotation = _frame(np.array(normal, float))
            reach = np.abs(np.array(half) @ rotation)
            grids = [np.linspace(-r, r, max(int(2 * r / spacing), 2)) for r in reach[:2]]
            for a in grids[0]:
                for b in grids[1]:
                    means.append(np.array(centre) + rotation @ (a, b, reach[2]))
                    quats.append(quaternion_from_matrix(rotation))
                    colours.append(colour)
                    codes.append(code)
    n = len(means)
    wave = np.arange(n) % 7 / 6.0
    return Splats(
        means=np.array(means, np.float32),
        quats=np.array(quats, np.float32),
        scales=(spacing * np.stack([0.6 + 0.1 * wave, 0.5 + 0.1 * wave, np.full(n, 0.1)], 1)).astype(np.float32),
        opacities=(0.7 + 0.25 * wave).astype(np.float32),
        colours=np.array(colours, np.float32),
        seen=(np.array(codes) % 3).astype(np.uint8),
        origin=(np.arange(n) % 6).astype(np.uint8),
    )


def person_camera(width: int = 90, height: int = 120) -> Camera:
    """A photo camera in front of the person, at 3.2 metres, level with the middle."""
    return Camera(intrinsics(width, height, 40.0), width, height, look_at(np.array([0, 1.0, 0]), 3.2, 0.0, 0.0))


def person_body() -> Body:
    """A body record with the photo's camera and the pelvis in place; the pose of the limbs is not filled
    in.
    """
    camera = person_camera()
    pelvis = camera.to_camera(PELVIS[None])
    arrays = {
        "K": camera.K,
        "image_size": np.array([camera.width, camera.height]),
        "world_from_camera": np.linalg.inv(camera.world_to_camera),
        "rotations": np.tile(np.eye(3), (22, 1, 1)),
        "root_translation": pelvis[0],
        "joints_cam": np.repeat(pelvis, 22, axis=0),
        "body22_cam": np.repeat(pelvis, 22, axis=0),
    }
    return Body(arrays, {"schema": "humanscope.body/1", "model": "test person"})


def rigged_body() -> Body:
    """The default body, its left upper arm turned upwards, three metres from a level camera."""
    from pipelines.body.read_body import make_body
    from pipelines.body.rig import default_rig

    rig = default_rig()
    rotations = np.tile(np.eye(3, dtype=np.float32), (rig.bone_count, 1, 1))
    # In the rig's axes (x to the left, y down) the left arm points to (1, 1); -90 degrees about z turn it to (1, -1).
    rotations[rig.bone("upperarm01.L")] = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
    return make_body(
        rotations=rotations, root_translation=np.array([0, 0, 3.2]), phenotypes=rig.default_phenotypes(),
        length_scales=np.zeros(9), K=person_camera().K, image_size=(90, 120), pitch=0.0,
        texts={"source": "test", "source_version": "1"},
    )  # fmt: skip


def person_bundle(turntable_frames: int = 12) -> Bundle:
    """Everything that an export can ask for, small. The turntable's pictures are drawn from the splats'
    points.
    """
    splats, body = person_splats(), person_body()
    camera = body.camera.square(96)
    cameras = tuple(camera.orbited(a, 0.0, PELVIS) for a in np.arange(turntable_frames) * 360.0 / turntable_frames)
    images = np.stack([_points_picture(splats, c) for c in cameras])
    labels = tuple(f"azimuth {i * 360 / turntable_frames:g}" for i in range(turntable_frames))
    photo = _points_picture(splats, body.camera)
    return Bundle(
        photo=Photo(photo[..., :3] * photo[..., 3:] + 0.5 * (1 - photo[..., 3:])),
        cutout=Cutout(photo),
        keypoints=Keypoints(
            body=np.full((33, 4), 0.5, np.float32),
            world=np.zeros((33, 3), np.float32),
            edited=np.zeros(33, bool),
        ),
        body=body,
        splats=splats,
        mesh=person_mesh(),
        turntable=ViewSet(images, cameras, labels),
        run={"system": "projection", "photo": "person.png", "seed": 0},
        command="python app.py run person.png --system projection",
    )


def _points_picture(splats: Splats, camera: Camera) -> NDArray[np.float32]:
    """(H, W, 4) straight alpha: 3 x 3 pixels of colour at each splat, the nearest last. Plain on purpose."""
    image = np.zeros((camera.height, camera.width, 4), np.float32)
    pixels, depth = camera.project(splats.means)
    for i in np.argsort(-depth, kind="stable"):
        x, y = (int(v) for v in np.floor(pixels[i]))
        image[max(y - 1, 0) : max(y + 2, 0), max(x - 1, 0) : max(x + 2, 0)] = (*splats.colours[i], 1.0)
    return image


def stands_right(points: NDArray, colours: NDArray, colour_tolerance: float = 0.02) -> None:
    """AssertionError unless the points (N, 3) with colours (N, 3) 0..1 are the person, the right way round.

    Highest: the raised left hand, at +x. Lowest: the feet, at y = 0. The outermost points of each side bear
    that side's colour.
    """
    points, colours = np.asarray(points, float), np.asarray(colours, float)
    low, high = points.min(0), points.max(0)
    assert abs(high[1] - 1.98) < 0.02 and abs(low[1]) < 0.02, f"up is not +y: y runs {low[1]:.2f}..{high[1]:.2f}"
    hand = points[points[:, 1] > 1.85]
    assert hand[:, 0].min() > 0.2, f"the raised hand is not at +x but at x = {hand[:, 0].mean():.2f}"
    assert abs(high[0] - 0.38) < 0.02 and abs(low[0] + 0.36) < 0.02, "left and right do not measure as they should"
    for name, axis, sign in (("front", 2, 1), ("back", 2, -1), ("left", 0, 1), ("right", 0, -1)):
        extreme = high[axis] if sign > 0 else low[axis]
        rim = np.abs(points[:, axis] - extreme) < 0.004
        wanted = np.array(SIDES[name][1])
        near = np.abs(colours[rim] - wanted).max(1) < colour_tolerance
        # Corners of a box belong to three of its sides, so not every point on the rim has this side's colour.
        assert near.mean() > 0.3, f"the {name} (axis {axis}) shows {colours[rim].mean(0).round(2)}, not {wanted}"
        other = np.array(SIDES[{"front": "back", "back": "front", "left": "right", "right": "left"}[name]][1])
        assert not (np.abs(colours[rim] - other).max(1) < colour_tolerance).any(), f"the {name} is mirrored"
