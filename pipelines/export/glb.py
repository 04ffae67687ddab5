"""GLB: glTF 2.0 in one binary file, with the texture inside.

Source: Khronos, glTF 2.0 specification, sections 3.6 (buffers), 3.7 (geometry), 3.9 (materials), 4.4 (GLB).
Material: metallic 0, roughness 1, baseColorTexture an embedded PNG in sRGB, double sided; as an option
KHR_materials_unlit, which shows the texture's own colours without a lamp. Attributes: POSITION, NORMAL,
TEXCOORD_0 (origin at the UPPER left, so v is flipped against the record), `_SEEN` (0 seen, 1 grazing, 2
generated).
Frame: glTF's own (y up, front at +z) is `bundle.FRAME` without any change; it is repeated in asset.extras.
"""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.export.bundle import FRAME, Bundle, need, words
from pipelines.export.finite import finite_mesh, left_out
from pipelines.records import SEEN_NAMES, Mesh, to_bytes

FLOAT, UNSIGNED_INT, ARRAY, INDICES = 5126, 5125, 34962, 34963
LINEAR, MIPMAPPED, CLAMP = 9729, 9987, 33071


def write(bundle: Bundle, path: Path, *, unlit: bool = False) -> str:
    """Write the textured mesh; returns one sentence."""
    mesh, dropped = finite_mesh(need(bundle, "mesh"))
    Path(path).write_bytes(textured(mesh, unlit=unlit, about=words(bundle)))
    side = mesh.texture.shape[1]
    return (
        f"Wrote {len(mesh.faces):,} triangles with a texture of {side} x {mesh.texture.shape[0]} pixels"
        f"{left_out(dropped, 'triangles')}."
    )


def png(image: NDArray[np.floating]) -> bytes:
    """(H, W, 3) 0..1 sRGB -> PNG bytes."""
    out = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(out, "PNG", compress_level=6)
    return out.getvalue()


def textured(mesh: Mesh, *, unlit: bool = False, about: str = FRAME) -> bytes:
    """A finite mesh -> GLB bytes with its texture. about: words for the file's own notes."""
    upper_left = mesh.uv.astype(np.float32) * (1, -1) + (0, 1)
    attributes = {
        "POSITION": mesh.vertices, "NORMAL": mesh.normals, "TEXCOORD_0": upper_left, "_SEEN": mesh.seen,
    }  # fmt: skip
    return assemble(attributes, mesh.faces, png(mesh.texture), unlit=unlit, about=about)


def coloured(mesh: Mesh, colours: NDArray[np.floating], *, unlit: bool = True) -> bytes:
    """A finite mesh and one colour per vertex (V, 3) 0..1 sRGB -> GLB bytes; COLOR_0 is linear, as glTF wants
    it.
    """
    srgb = np.asarray(colours, np.float64)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    attributes = {"POSITION": mesh.vertices, "NORMAL": mesh.normals, "COLOR_0": linear}
    return assemble(attributes, mesh.faces, None, unlit=unlit)


def assemble(
    attributes: dict[str, NDArray], faces: NDArray[np.integer], texture: bytes | None, *, unlit: bool,
    about: str = FRAME,
) -> bytes:  # fmt: skip
    """Vertex attributes (V,) or (V, C), faces (F, 3) and PNG bytes -> one GLB file."""
    blobs: list[bytes] = []
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []

    def view(data: bytes, **facts: Any) -> int:
        views.append({"buffer": 0, "byteOffset": sum(map(len, blobs)), "byteLength": len(data), **facts})
        blobs.append(data + b"\0" * (-len(data) % 4))
        return len(views) - 1

    kinds = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
    names = {}
    for name, values in attributes.items():
        rows = np.ascontiguousarray(values, "<f4").reshape(len(values), -1)
        facts: dict[str, Any] = {"type": kinds[rows.shape[1]], "componentType": FLOAT, "count": len(rows)}
        if name == "POSITION":
            facts |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        accessors.append({"bufferView": view(rows.tobytes(), target=ARRAY), **facts})
        names[name] = len(accessors) - 1
    indices = np.ascontiguousarray(faces, "<u4").reshape(-1)
    accessors.append(
        {
            "bufferView": view(indices.tobytes(), target=INDICES),
            "type": "SCALAR", "componentType": UNSIGNED_INT, "count": len(indices),
        }
    )  # fmt: skip
    material: dict[str, Any] = {
        "name": "person",
        "doubleSided": True,
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
    }
    scene: dict[str, Any] = {
        "asset": {
            "version": "2.0",
            "generator": "Humanscope",
            "extras": {"frame": about, "_SEEN": list(SEEN_NAMES)},
        },
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "person"}],
        "meshes": [
            {
                "name": "person",
                "primitives": [{"attributes": names, "indices": len(accessors) - 1, "material": 0, "mode": 4}],
            }
        ],
        "materials": [material],
    }
    if texture is not None:
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0, "texCoord": 0}
        scene["images"] = [{"bufferView": view(texture), "mimeType": "image/png", "name": "texture"}]
        scene["samplers"] = [{"magFilter": LINEAR, "minFilter": MIPMAPPED, "wrapS": CLAMP, "wrapT": CLAMP}]
        scene["textures"] = [{"source": 0, "sampler": 0}]
    if unlit:
        material["extensions"] = {"KHR_materials_unlit": {}}
        scene["extensionsUsed"] = ["KHR_materials_unlit"]
    binary = b"".join(blobs)
    scene |= {"bufferViews": views, "accessors": accessors, "buffers": [{"byteLength": len(binary)}]}
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<I4s", len(text), b"JSON"), text,
            struct.pack("<I4s", len(binary), b"BIN\0"), binary,
        ]
    )  # fmt: skip
