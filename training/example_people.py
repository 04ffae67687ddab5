"""Renders the example people of the page: dressed, posed, lit bodies with known truth and no licence question.

    python -m training.example_people MAKEHUMAN_PACK assets/examples

A developer's script. It needs the package `anny` (0.6.2) and the CC0 MakeHuman asset pack (geometry, textures, poses);
what it writes are pictures of our own, JPEG, 768 x 1024. The same pack and seed give the same picture.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import anny
import cv2
import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from pipelines.geometry.cameras import DISPLAY_TO_OPENCV, Camera, intrinsics
from pipelines.geometry.mesh_raster import interpolate, rasterise_mesh
from training.people.pack import read_mhclo, read_obj

SIZE, SAMPLES = (768, 1024), 3


@dataclass(frozen=True)
class Wear:
    """One asset on a person. pieces: connected components that are worn, or () for all. tint: sRGB 0..255 that
    the median becomes, or None. opacity_cut: alpha below this is left out."""

    folder: str
    texture: str
    pieces: tuple[int, ...] = ()
    tint: tuple[int, int, int] | None = None
    opacity_cut: float = 0.0
    contrast: float = 1.0


@dataclass(frozen=True)
class Example:
    """One example person. phenotypes: gender, age, muscle, weight, height, proportions. yaw in degrees."""

    name: str
    phenotypes: tuple[float, ...]
    pose: str
    yaw: float
    skin: str
    skin_tint: tuple[int, int, int] | None
    wears: tuple[Wear, ...]
    ground: tuple[int, int, int]


def hair(style: str, tint: tuple[int, int, int]) -> Wear:
    """Hair cards, cut at their alpha."""
    return Wear(f"hair/{style}", f"hair/{style}_diffuse", (), tint, 0.45, 0.8)


def brows(number: int, tint: tuple[int, int, int]) -> Wear:
    """Eyebrows: only the alpha counts."""
    return Wear(f"eyebrows/eyebrow{number:03d}", f"eyebrows/eyebrow{number:03d}", (), tint, 0.3, 0.0)


EYES = Wear("eyes/high-poly", "eyes/brown_eye", (), None, 0.5)
EXAMPLES = (
    Example("1-denim-jacket", (0.0, 0.6, 0.55, 0.45, 0.42, 0.6), "contra__hip_down", 18, "young_darkskinned_male_diffuse",
            None, (Wear("clothes/male_casualsuit05", "clothes/male_casualsuit05_diffuse", (0, 1, 2, 3)),
                   Wear("clothes/shoes01", "clothes/shoes01_brown_diffuse", (0, 1)), hair("short04", (24, 20, 18)),
                   brows(1, (20, 16, 14)), EYES), (205, 208, 214)),
    Example("2-blouse", (1.0, 0.62, 0.45, 0.42, 0.42, 0.7), "step__talk_talk", -12, "young_lightskinned_female_diffuse2",
            None, (Wear("clothes/female_casualsuit01", "clothes/female_casualsuit01_diffuse", (1,)),
                   Wear("clothes/female_elegantsuit01", "clothes/female_elegantsuit01_diffuse", (1,), (196, 92, 84)),
                   Wear("clothes/shoes01", "clothes/shoes01_black_diffuse", (0, 1)), hair("ponytail01", (96, 58, 32)),
                   brows(6, (70, 44, 28)), EYES), (222, 214, 204)),
    Example("3-striped-shirt", (0.0, 0.75, 0.5, 0.55, 0.4, 0.5), "crossed__wave_relax", 8,
            "middleage_lightskinned_male_diffuse", None,
            (Wear("clothes/male_casualsuit03", "clothes/male_casualsuit03_diffuse"),
             Wear("clothes/shoes02", "clothes/shoes02_white_diffuse", (0, 1)), hair("short02", (60, 42, 30)),
             brows(3, (50, 34, 24)), EYES), (200, 212, 206)),
    Example("4-suit", (0.0, 0.66, 0.5, 0.4, 0.45, 0.6), "contra__pocket_relax", -25, "young_lightskinned_male_diffuse3",
            (180, 128, 92), (Wear("clothes/male_elegantsuit01", "clothes/male_elegantsuit01_diffuse"),
                             Wear("clothes/shoes01", "clothes/shoes01_black_diffuse", (0, 1)),
                             hair("short01", (22, 18, 17)), brows(2, (20, 16, 14)), EYES), (212, 206, 216)),
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Triangles with their own texture. vertices (V, 3) posed, faces (F, 3), uv (F, 3, 2), texture (H, W, 4)."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    texture: np.ndarray
    opacity_cut: float


class Dresser:
    """The pack and the body model, and how a garment follows the body (fit at rest, then skin)."""

    def __init__(self, pack: Path) -> None:
        self.pack = pack
        self.model = anny.Anny(rig="anny", topology="makehuman", local_changes="none", skinning_method="lbs")
        weights = np.zeros((19158, len(self.model.bone_labels)))
        index = self.model.vertex_bone_indices.numpy()
        np.add.at(weights, (np.arange(19158)[:, None], index), self.model.vertex_bone_weights.numpy())
        self.weights = weights
        poses = np.load(pack / "poses" / "poses.npz")
        self.poses = {str(n): v for n, v in zip(poses["name"], poses["rotvec"].astype(np.float64), strict=True)}

    def body(self, example: Example) -> tuple[np.ndarray, np.ndarray]:
        """Rest vertices (19158, 3) and bone transforms (J, 4, 4)."""
        names = ("gender", "age", "muscle", "weight", "height", "proportions")
        kwargs = {n: torch.tensor([v]).double() for n, v in zip(names, example.phenotypes, strict=True)}
        delta = torch.eye(4).double().repeat(1, self.weights.shape[1], 1, 1)
        delta[0, :, :3, :3] = torch.as_tensor(Rotation.from_rotvec(self.poses[example.pose]).as_matrix())
        out = self.model(pose_parameters=delta, phenotype_kwargs=kwargs)
        return out["rest_vertices"][0].detach().numpy(), out["bone_poses"][0].detach().numpy() @ np.linalg.inv(
            out["rest_bone_poses"][0].detach().numpy()
        )

    def parts(self, example: Example) -> list[Part]:
        """All that is drawn, in Anny's axes."""
        rest, bones = self.body(example)
        hidden = np.zeros(13380, bool)
        parts = []
        for wear in example.wears:
            part, removes = self.garment(wear, rest, bones)
            parts.append(part)
            hidden |= removes
        faces, uv = self.body_faces()
        keep = ~hidden[faces].all(1)
        skin = self.texture(f"skins/{example.skin}", example.skin_tint, 1.0)
        parts.append(Part(skinned(rest[:13380], self.weights[:13380], bones), faces[keep], uv[keep], skin, 0.0))
        return parts

    def body_faces(self) -> tuple[np.ndarray, np.ndarray]:
        """Triangles of the body group and their UVs."""
        quads = self.model.faces.numpy()[:13378] if self.model.faces.shape[1] == 4 else None
        if quads is None:
            raise SystemExit("anny's topology 'makehuman' no longer has quads; look at training/example_people.py.")
        uv_index = self.model.face_texture_coordinate_indices.numpy()[:13378]
        coordinates = self.model.texture_coordinates.numpy()
        return split(quads), coordinates[split(uv_index)]

    def garment(self, wear: Wear, rest: np.ndarray, bones: np.ndarray) -> tuple[Part, np.ndarray]:
        """A garment on the body, and the body vertices that it hides."""
        folder = self.pack / "geometry" / wear.folder
        index, weight, offset, scales, removed = read_mhclo(next(folder.glob("*.mhclo")))
        uv, faces, uv_faces = read_obj(next(folder.glob("*.obj.gz")))
        # The pack's x, y and z are Anny's x, z and -y.
        factor = [abs(rest[i, k] - rest[j, k]) / length for k, (i, j, length) in zip((0, 2, 1), scales, strict=True)]
        moved = offset * factor
        points = (rest[index] * weight[..., None]).sum(1) + np.stack([moved[:, 0], -moved[:, 2], moved[:, 1]], 1)
        positive = np.maximum(weight, 0)
        positive /= positive.sum(1, keepdims=True)
        skin = (self.weights[index] * positive[..., None]).sum(1)
        if wear.pieces:
            keep = np.isin(components(faces, len(points))[faces[:, 0]], wear.pieces)
            faces, uv_faces = faces[keep], uv_faces[keep]
        hidden = np.zeros(13380, bool)
        hidden[removed[removed < 13380]] = True
        if wear.pieces:
            from scipy.spatial import cKDTree

            worn = self.model.template_vertices.numpy()[index[np.unique(faces)]].mean(1)
            far = cKDTree(worn).query(self.model.template_vertices.numpy()[:13380])[0] > 0.05
            hidden &= ~far
        part = Part(skinned(points, skin, bones), faces, uv[uv_faces], self.texture(wear.texture, wear.tint, wear.contrast),
                    wear.opacity_cut)  # fmt: skip
        return part, hidden

    def texture(self, name: str, tint: tuple[int, int, int] | None, contrast: float) -> np.ndarray:
        """(H, W, 4) linear colour and alpha; with a tint the median of what is opaque becomes that colour."""
        image = np.asarray(Image.open(self.pack / "textures" / f"{name}.webp").convert("RGBA"), np.float32) / 255
        rgb, alpha = image[..., :3] ** 2.2, image[..., 3:]
        if tint is not None:
            luminance = rgb @ [0.2126, 0.7152, 0.0722]
            middle = np.median(luminance[alpha[..., 0] > 0.5])
            target = (np.array(tint, np.float32) / 255) ** 2.2
            rgb = target * (np.maximum(luminance, 1e-4)[..., None] / middle) ** contrast
        return np.concatenate([np.clip(rgb, 0, 1), alpha], 2).astype(np.float32)


def skinned(points: np.ndarray, weights: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """Linear blend skinning: (V, 3), (V, J), (J, 4, 4) -> (V, 3)."""
    blend = np.einsum("vj,jab->vab", weights, bones)
    return np.einsum("vab,vb->va", blend[:, :3, :3], points) + blend[:, :3, 3]


def split(quads: np.ndarray) -> np.ndarray:
    """(Q, 4) -> (2Q, 3)."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def components(faces: np.ndarray, count: int) -> np.ndarray:
    """(V,) number of the connected component, in the order of their first vertex."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    return connected_components(coo_matrix((np.ones(len(edges)), edges.T), (count, count)), directed=False)[1]


def refined(part: Part, times: int) -> Part:
    """Cards with holes: each triangle is split in four, `times` over, and the transparent ones are dropped."""
    corners, uv = part.vertices[part.faces], part.uv
    for _ in range(times):
        corners, uv = quartered(corners), quartered(uv)
    height, width = part.texture.shape[:2]
    centre = uv.mean(1)
    alpha = part.texture[
        ((1 - centre[:, 1]) * height).astype(int) % height, (centre[:, 0] * width).astype(int) % width, 3
    ]
    corners, uv = corners[alpha > part.opacity_cut], uv[alpha > part.opacity_cut]
    return Part(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3), uv, part.texture, 0.0)


def quartered(corners: np.ndarray) -> np.ndarray:
    """(F, 3, D) -> (4F, 3, D) at the middles of the edges."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    return np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])


def photograph(parts: list[Part], example: Example) -> np.ndarray:
    """The finished picture (H, W, 3) uint8."""
    parts = [refined(p, 2) if p.opacity_cut else p for p in parts]
    turn = Rotation.from_euler("y", example.yaw, degrees=True).as_matrix()
    posed = [p.vertices @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]).T.T for p in parts]
    posed = [np.stack([v[:, 0], p.vertices[:, 2], -p.vertices[:, 1]], 1) @ turn.T
             for v, p in zip(posed, parts, strict=True)]  # fmt: skip
    points = np.concatenate(posed)
    low, high = points.min(0), points.max(0)
    points -= [(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2]
    tall = high[1] - low[1]
    width, height = SIZE
    matrix = np.eye(4)
    matrix[:3, :3] = DISPLAY_TO_OPENCV
    matrix[:3, 3] = -DISPLAY_TO_OPENCV @ np.array([0.0, 0.52 * tall, 1.62 * tall])
    camera = Camera(intrinsics(width * SAMPLES, height * SAMPLES, 40.0), width * SAMPLES, height * SAMPLES, matrix)
    offsets = np.cumsum([0] + [len(p.vertices) for p in parts])
    faces = np.concatenate([p.faces + o for p, o in zip(parts, offsets[:-1], strict=True)])
    owner = np.concatenate([np.full(len(p.faces), i) for i, p in enumerate(parts)])
    normals = smooth_normals(points, faces)
    image = rasterise_mesh(points.astype(np.float32), faces.astype(np.int32), camera)
    hit = image.face_id >= 0
    normal = interpolate(image, faces, normals.astype(np.float32))[hit]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    normal[normal[:, 2] < -0.2] *= -1  # cards are seen from both sides
    face, weights = image.face_id[hit], image.barycentric[hit]
    colour = np.zeros((len(face), 3))
    for i, part in enumerate(parts):
        mine = owner[face] == i
        local = face[mine] - np.flatnonzero(owner == i)[0]
        uv = (part.uv[local] * weights[mine][..., None]).sum(1)
        colour[mine] = sampled(part.texture, uv)
    light = 0.74 + 0.34 * np.clip(normal @ normalised([0.35, 0.75, 0.8]), -0.3, 1) + 0.14 * normal[:, 1]
    picture = np.zeros((*hit.shape, 3), np.float32)
    picture[hit] = colour * light[:, None] * occlusion(image.depth, hit)[hit][:, None]
    ground = backdrop(example.ground, camera, tall, hit)
    linear = np.where(hit[..., None], picture, ground)
    small = cv2.resize(linear.astype(np.float32), SIZE, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(7).normal(0, 0.006, small.shape)
    return (np.clip(np.clip(small, 0, 1) ** (1 / 2.2) + noise, 0, 1) * 255 + 0.5).astype(np.uint8)


def sampled(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(N, 3) linear colours at UVs (N, 2), origin lower left, bilinear."""
    height, width = texture.shape[:2]
    x = (np.mod(uv[:, 0], 1) * width - 0.5).astype(np.float32)
    y = ((1 - np.mod(uv[:, 1], 1)) * height - 0.5).astype(np.float32)
    found = [cv2.remap(texture, x[i : i + 30000, None], y[i : i + 30000, None], cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_WRAP)[:, 0, :3] for i in range(0, len(x), 30000)]  # fmt: skip
    return np.concatenate(found) if found else np.zeros((0, 3))


def smooth_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) area-weighted vertex normals; vertices at one place (split cards) share theirs."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for k in range(3):
        np.add.at(normals, faces[:, k], face)
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)


def occlusion(depth: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Screen-space: where the neighbourhood is nearer than the point, less sky reaches it."""
    shade = np.ones_like(depth)
    for sigma in (8, 24, 60):
        weight = cv2.GaussianBlur(hit.astype(np.float32), (0, 0), sigma)
        mean = cv2.GaussianBlur(np.where(hit, depth, 0).astype(np.float32), (0, 0), sigma) / np.maximum(weight, 1e-3)
        shade *= 1 - 0.35 * np.clip((depth - mean) / 0.12, 0, 1)
    return shade


def backdrop(colour: tuple[int, int, int], camera: Camera, tall: float, hit: np.ndarray) -> np.ndarray:
    """A studio wall that runs into the floor, with a soft shadow under the person."""
    height = len(hit)
    rays = camera.rays() @ camera.world_to_camera[:3, :3]
    distance = np.where(rays[..., 1] < -1e-3, -camera.position[1] / np.minimum(rays[..., 1], -1e-3), 1e3)
    x, z = camera.position[0] + rays[..., 0] * distance, camera.position[2] + rays[..., 2] * distance
    floor = np.clip((distance < 1e3) * np.exp(-np.maximum(-z - 0.4, 0)), 0, 1)
    shadow = np.exp(-((x / 0.34) ** 2 + ((z + 0.05) / 0.26) ** 2)) * (distance < 1e3)
    base = (np.array(colour) / 255) ** 2.2
    shade = 1.0 - 0.12 * floor - 0.45 * shadow
    return base * shade[..., None] * (1.04 - 0.1 * np.linspace(0, 1, height))[:, None, None]


def normalised(vector: list[float]) -> np.ndarray:
    """Unit length."""
    return np.array(vector) / np.linalg.norm(vector)


def main() -> None:
    """See the module."""
    pack, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    dresser = Dresser(pack)
    for example in EXAMPLES:
        picture = photograph(dresser.parts(example), example)
        Image.fromarray(picture).save(out / f"{example.name}.jpg", quality=90)
        print(f"{example.name}: {picture.shape[1]} x {picture.shape[0]}")


if __name__ == "__main__":
    main()
