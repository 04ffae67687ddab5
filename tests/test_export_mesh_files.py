"""Files of the mesh: GLB and OBJ, read by trimesh and by the bytes; and the NPZ of all arrays."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from pipelines.export import glb, npz, obj
from pipelines.export.bundle import Bundle
from pipelines.records import Mesh
from pipelines.step import UserError
from tests.asymmetric import TILE, person_bundle, person_mesh, stands_right


def texture_at(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Nearest texels (N, 3) 0..1 at uv with its origin at the LOWER left of an image (H, W, 3) uint8."""
    height, width = texture.shape[:2]
    x = np.clip((uv[:, 0] * width).astype(int), 0, width - 1)
    y = np.clip(((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    return texture[y, x, :3] / 255.0


def chunks(data: bytes) -> tuple[dict, bytes]:
    """The two chunks of a GLB by the specification."""
    magic, version, total = struct.unpack_from("<4sII", data)
    assert (magic, version, total) == (b"glTF", 2, len(data))
    length, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and length % 4 == 0
    text = json.loads(data[20 : 20 + length])
    size, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert kind == b"BIN\0" and size % 4 == 0
    return text, data[28 + length : 28 + length + size]


def accessor(scene: dict, binary: bytes, index: int) -> np.ndarray:
    """One accessor's values."""
    facts = scene["accessors"][index]
    view = scene["bufferViews"][facts["bufferView"]]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[facts["type"]]
    kind = {5126: "<f4", 5125: "<u4"}[facts["componentType"]]
    assert view["byteOffset"] % 4 == 0 and view["byteLength"] == facts["count"] * width * 4
    return np.frombuffer(binary, kind, facts["count"] * width, view["byteOffset"]).reshape(-1, width)


def surface_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Signed volume: positive when the triangles are counter-clockwise seen from outside."""
    a, b, c = (vertices[faces[:, i]].astype(float) for i in range(3))
    return float(np.sum(a * np.cross(b, c)) / 6)


def test_the_test_person_is_sound() -> None:
    mesh = person_mesh()
    welded = trimesh.Trimesh(mesh.vertices, mesh.weld[mesh.faces], process=False)
    assert welded.is_watertight and surface_volume(mesh.vertices, mesh.faces) > 0.1
    face = np.cross(mesh.vertices[mesh.faces[:, 1]] - mesh.vertices[mesh.faces[:, 0]],
                    mesh.vertices[mesh.faces[:, 2]] - mesh.vertices[mesh.faces[:, 0]])  # fmt: skip
    assert (np.sum(face * mesh.normals[mesh.faces[:, 0]], 1) > 0).all()
    stands_right(mesh.vertices, texture_at((mesh.texture * 255).astype(np.uint8), mesh.uv))
    for turned in (mesh.vertices * (-1, 1, 1), mesh.vertices * (1, 1, -1), mesh.vertices * (1, -1, 1)):
        with pytest.raises(AssertionError):
            stands_right(turned, texture_at((mesh.texture * 255).astype(np.uint8), mesh.uv))
    flipped = mesh.uv * (1, -1) + (0, 1)
    with pytest.raises(AssertionError):
        stands_right(mesh.vertices, texture_at((mesh.texture * 255).astype(np.uint8), flipped))


def test_glb_read_by_trimesh(tmp_path: Path) -> None:
    mesh = person_mesh()
    sentence = glb.write(Bundle(mesh=mesh), tmp_path / "a.glb")
    assert sentence == "Wrote 72 triangles with a texture of 48 x 32 pixels."
    back = trimesh.load_mesh(tmp_path / "a.glb", process=False)
    material = back.visual.material
    assert (material.metallicFactor, material.roughnessFactor, material.doubleSided) == (0.0, 1.0, True)
    texture = np.asarray(material.baseColorTexture.convert("RGB"))
    assert texture.shape == (2 * TILE, 3 * TILE, 3)
    # trimesh turns v back, to an origin at the lower left.
    stands_right(back.vertices, texture_at(texture, back.visual.uv))
    assert np.array_equal(back.vertices.astype(np.float32), mesh.vertices)
    assert np.array_equal(back.faces, mesh.faces)
    assert np.allclose(back.visual.uv, mesh.uv, atol=1e-6)
    assert np.allclose(back.vertex_normals, mesh.normals, atol=1e-5)
    assert np.array_equal(np.ravel(back.vertex_attributes["_SEEN"]), mesh.seen)
    assert back.volume > 0


def test_glb_by_its_bytes(tmp_path: Path) -> None:
    """The specification's own rules: extents, targets, sRGB PNG, uv from the upper left, no required extension."""
    mesh = person_mesh()
    glb.write(Bundle(mesh=mesh), tmp_path / "a.glb")
    scene, binary = chunks((tmp_path / "a.glb").read_bytes())
    primitive = scene["meshes"][0]["primitives"][0]
    position = accessor(scene, binary, primitive["attributes"]["POSITION"])
    assert scene["accessors"][primitive["attributes"]["POSITION"]]["min"] == position.min(0).tolist()
    assert scene["accessors"][primitive["attributes"]["POSITION"]]["max"] == position.max(0).tolist()
    uv = accessor(scene, binary, primitive["attributes"]["TEXCOORD_0"])
    view = scene["bufferViews"][scene["images"][0]["bufferView"]]
    png = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG" and image.mode == "RGB" and "gamma" not in image.info
    stands_right(position, texture_at(np.asarray(image), np.stack([uv[:, 0], 1 - uv[:, 1]], 1)))
    assert accessor(scene, binary, primitive["indices"]).max() == len(position) - 1
    assert {scene["bufferViews"][i].get("target") for i in range(5)} == {34962, 34963}
    assert "extensionsUsed" not in scene and "+y up" in scene["asset"]["extras"]["frame"]
    assert scene["buffers"] == [{"byteLength": len(binary)}]


def test_glb_unlit_and_colours() -> None:
    mesh = person_mesh()
    scene, _ = chunks(glb.textured(mesh, unlit=True))
    assert scene["extensionsUsed"] == ["KHR_materials_unlit"] and "extensionsRequired" not in scene
    grey = np.full((len(mesh.vertices), 3), 0.5)
    scene, binary = chunks(glb.coloured(mesh, grey))
    linear = accessor(scene, binary, scene["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"])
    assert np.allclose(linear, 0.21404, atol=1e-4), "COLOR_0 is linear, not sRGB"


def test_obj_read_by_trimesh(tmp_path: Path) -> None:
    mesh = person_mesh()
    path = tmp_path / "my own person.obj"
    sentence = obj.write(Bundle(mesh=mesh), path)
    assert "my_own_person.mtl and my_own_person_texture.png" in sentence
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "my own person.obj",
        "my_own_person.mtl",
        "my_own_person_texture.png",
    ]
    back = trimesh.load_mesh(path, process=False)
    texture = np.asarray(back.visual.material.image.convert("RGB"))
    stands_right(back.vertices, texture_at(texture, back.visual.uv))
    assert back.volume == pytest.approx(surface_volume(mesh.vertices, mesh.faces), abs=1e-5)
    assert len(back.faces) == 72


def test_obj_text(tmp_path: Path) -> None:
    """Read by hand: welded positions, so that the surface is closed; v from the lower edge; indices from one."""
    mesh = person_mesh()
    obj.write(Bundle(mesh=mesh), tmp_path / "a.obj")
    words = [line.split() for line in (tmp_path / "a.obj").read_text().splitlines()]
    v, vt, vn = (np.array([w[1:] for w in words if w[0] == k], float) for k in ("v", "vt", "vn"))
    corners = np.array([[c.split("/") for c in w[1:]] for w in words if w[0] == "f"], int) - 1
    assert len(v) == 48 and corners.min() == 0
    assert trimesh.Trimesh(v, corners[..., 0], process=False).is_watertight
    texture = np.asarray(Image.open(tmp_path / "a_texture.png"))
    corner = corners.reshape(-1, 3)
    stands_right(v[corner[:, 0]], texture_at(texture, vt[corner[:, 1]]))
    assert np.allclose(vn[corners[..., 2]], mesh.normals[mesh.faces], atol=1e-5)
    assert any(w[:1] == ["#"] and "+y" in w for w in words)
    assert "map_Kd a_texture.png" in (tmp_path / "a.mtl").read_text()


@pytest.mark.parametrize("writer, suffix", [(glb, "glb"), (obj, "obj")])
def test_bad_vertices_take_their_triangles_with_them(writer, suffix: str, tmp_path: Path) -> None:
    mesh = person_mesh()
    vertices = mesh.vertices.copy()
    vertices[0, 2] = np.nan
    bad = dataclasses.replace(mesh, vertices=vertices)
    # The first copy of a welded corner is bad: all its copies go, and the two triangles of each of three sides
    # that have it as a corner (a side's diagonal decides between one and two).
    touched = int(np.isin(mesh.weld[mesh.faces], [0]).any(1).sum())
    sentence = writer.write(Bundle(mesh=bad), tmp_path / f"a.{suffix}")
    assert f"{72 - touched} triangles" in sentence and f"; {touched} triangles" in sentence
    back = trimesh.load_mesh(tmp_path / f"a.{suffix}", process=False)
    assert len(back.faces) == 72 - touched and np.isfinite(back.vertices).all()
    texture = (mesh.texture * 255).astype(np.uint8)
    assert np.allclose(texture_at(texture, back.visual.uv).max(), 0.95, atol=0.01)
    with pytest.raises(UserError, match="None of the 72 triangles"):
        writer.write(Bundle(mesh=dataclasses.replace(mesh, vertices=vertices * np.nan)), tmp_path / f"b.{suffix}")
    with pytest.raises(UserError, match="no mesh yet"):
        writer.write(Bundle(), tmp_path / f"b.{suffix}")


def test_npz_has_every_array(tmp_path: Path) -> None:
    bundle = person_bundle(4)
    npz.write(bundle, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    assert bundle.splats is not None and bundle.mesh is not None and bundle.body is not None
    for prefix, record in (("splats", bundle.splats), ("mesh", bundle.mesh)):
        for field in (f for f in dataclasses.fields(record) if isinstance(getattr(record, f.name), np.ndarray)):
            assert np.array_equal(arrays[f"{prefix}_{field.name}"], getattr(record, field.name))
    stands_right(arrays["splats_means"], arrays["splats_colours"])
    camera = bundle.body.camera
    assert np.allclose(arrays["camera_world_to_camera"], camera.world_to_camera)
    assert np.allclose(arrays["camera_world_to_camera"] @ arrays["body_world_from_camera"], np.eye(4))
    assert arrays["camera_size"].tolist() == [camera.width, camera.height]
    assert arrays["turntable_world_to_camera"].shape == (4, 4, 4)
    assert json.loads(str(arrays["run"])) == bundle.run and "+z" in str(arrays["frame"])
    with pytest.raises(UserError, match="no body yet"):
        npz.write(Bundle(), tmp_path / "b.npz")


def test_same_bytes_every_time(tmp_path: Path) -> None:
    bundle = person_bundle(2)
    for writer in (glb, obj, npz):
        writer.write(bundle, tmp_path / "one")
        first = (tmp_path / "one").read_bytes()
        writer.write(dataclasses.replace(bundle), tmp_path / "one")
        assert (tmp_path / "one").read_bytes() == first


def test_mesh_with_seams_keeps_its_weld() -> None:
    """Leaving out vertices renumbers `weld`: it still names the first copy."""
    from pipelines.export.finite import finite_mesh

    mesh = person_mesh()
    uv = mesh.uv.copy()
    uv[30] = np.inf
    cut, dropped = finite_mesh(dataclasses.replace(mesh, uv=uv))
    assert dropped > 0 and isinstance(cut, Mesh)
    assert np.array_equal(cut.vertices[cut.weld], cut.vertices)
    assert (cut.weld <= np.arange(len(cut.weld))).all()
