"""Body-part labels, mirror map and vertex lists of the Anny mesh, for `training.export_anny`.

All geometry is in OpenCV axes of a person facing the camera: x to the person's left, y down, z backwards.
"""

from __future__ import annotations

import numpy as np

PART_NAMES = [
    "torso", "neck", "head", "face", "scalp",
    "upper_arm_left", "forearm_left", "hand_left", "thigh_left", "shin_left", "foot_left",
    "upper_arm_right", "forearm_right", "hand_right", "thigh_right", "shin_right", "foot_right",
]  # fmt: skip


def mirror_map(vertices: np.ndarray) -> np.ndarray:
    """(V,) index of each vertex's mirror image in x of a symmetric template; an involution."""
    index = np.empty(len(vertices), np.int64)
    distance = np.empty(len(vertices))
    for i, image in enumerate(vertices * [-1.0, 1.0, 1.0]):
        gaps = ((vertices - image) ** 2).sum(1)
        index[i] = gaps.argmin()
        distance[i] = gaps[index[i]] ** 0.5
    if distance.max() > 1e-5 or not np.array_equal(index[index], np.arange(len(vertices))):
        raise ValueError(f"The template is not mirror symmetric (largest gap {distance.max():.2e} m).")
    return index


def mirror_names(names: list[str]) -> np.ndarray:
    """(J,) index of each bone's mirror image, by the suffixes .L and .R."""
    swap = {".L": ".R", ".R": ".L"}
    return np.array([names.index(n[:-2] + swap[n[-2:]]) if n[-2:] in swap else i for i, n in enumerate(names)])


def part_of_bone(name: str) -> str:
    """Anny bone name -> one of `PART_NAMES` (head for the whole head)."""
    side = {".L": "_left", ".R": "_right"}.get(name[-2:], "")
    stem = name.split(".")[0]
    for part, prefixes in {
        "thigh": ("upperleg",),
        "shin": ("lowerleg",),
        "foot": ("foot", "toe"),
        "upper_arm": ("upperarm",),
        "forearm": ("lowerarm",),
        "hand": ("wrist", "finger", "metacarpal"),
    }.items():
        if stem.startswith(prefixes):
            return part + side
    if stem.startswith("neck"):
        return "neck"
    return "head" if stem in ("head", "eye") else "torso"


def label_parts(
    vertices: np.ndarray,
    faces: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
    bones: list[str],
    pairs: np.ndarray,
    regions: dict[str, np.ndarray],
    ear: np.ndarray,
    marks: dict[str, np.ndarray],
) -> tuple[np.ndarray, list[str]]:
    """(V,) part of each vertex: the part whose bones hold most of its skin weight; head split into face and scalp."""
    of_bone = np.array([PART_NAMES.index(part_of_bone(b)) for b in bones])
    share = np.zeros((len(vertices), len(PART_NAMES)))
    np.add.at(share, (np.arange(len(vertices))[:, None], of_bone[indices]), weights)
    part = share.argmax(1).astype(np.uint8)
    split_head(vertices, part, regions, ear, marks)
    for name in ("mouth_cavity", "tongue"):
        part[regions[name]] = PART_NAMES.index("face")
    # The mesh is symmetric, the rule of the left half decides for both.
    swap = np.array([PART_NAMES.index(mirrored_part(p)) for p in PART_NAMES])
    right = vertices[:, 0] < -1e-6
    part[right] = swap[part[pairs[right]]]
    return part, PART_NAMES


def mirrored_part(name: str) -> str:
    return name.replace("_left", "_x").replace("_right", "_left").replace("_x", "_right")


def split_head(
    vertices: np.ndarray,
    part: np.ndarray,
    regions: dict[str, np.ndarray],
    ear: np.ndarray,
    marks: dict[str, np.ndarray],
) -> None:
    """Mark face and scalp among the head's vertices, in place.

    Proportions of the classical canon: the eyes halve the head's height, the hairline is at a fifth from the crown;
    the hairline runs from there down the temple to the front of the ear, behind the ear and to the nape at the
    height of the ear lobes. Ears, and what lies below the jaw, stay "head".
    """
    head = part == PART_NAMES.index("head")
    names = marks["keypoint_names"].tolist()

    def point(name: str) -> np.ndarray:
        k = names.index(name)
        rows = slice(marks["keypoint_starts"][k], marks["keypoint_starts"][k + 1])
        return marks["keypoint_weights"][rows] @ vertices[marks["keypoint_vertices"][rows]]

    eyes = (point("left_eye") + point("right_eye")) / 2
    crown = vertices[head, 1].min()
    front = head & (np.abs(vertices[:, 0]) < 0.02) & (vertices[:, 2] < vertices[ear, 2].min() - 0.02)
    chin = vertices[front, 1].max()
    ear_front, ear_low = vertices[ear, 2].min(), vertices[ear, 1].max()
    hairline = crown + 0.2 * (chin - crown)
    forehead = vertices[front & (np.abs(vertices[:, 1] - hairline) < 0.01), 2].min()
    y, z = vertices[:, 1], vertices[:, 2]
    # The border's depth: in front of the ear below the eyes, moving forward above them until the hairline.
    rise = np.clip((eyes[1] - y) / (eyes[1] - hairline), 0.0, 1.0)
    border = ear_front + (forehead - 0.002 - ear_front) * rise**2
    face = head & (z < border) & (y > hairline)
    jaw = ear_low + (chin - ear_low) * np.clip((ear_front - z) / (ear_front - eyes[2]), 0.0, 1.0)
    face &= y < jaw + 0.012
    scalp = head & ~face & (y < ear_low + 0.005) & ((z >= border) | (y <= hairline))
    # Beside the lower half of the ear, hair grows behind it only.
    middle = vertices[ear].mean(0)
    scalp &= (y < middle[1]) | (z > middle[2])
    part[face] = PART_NAMES.index("face")
    part[scalp] = PART_NAMES.index("scalp")
    part[ear] = PART_NAMES.index("head")
    for name in ("eye_cavity", "eye_front", "eye_back"):
        for side in "LR":
            part[regions[f"{name}.{side}"]] = PART_NAMES.index("face")


def list_regions(
    vertices: np.ndarray,
    faces: np.ndarray,
    part: np.ndarray,
    part_names: list[str],
    pairs: np.ndarray,
    regions: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Vertex ids: hands, feet, face, scalp, sole, inside (never visible from outside), eyes, rims of lids and lips."""

    def of(*names: str) -> np.ndarray:
        return np.flatnonzero(np.isin(part, [part_names.index(n) for n in names]))

    inside = [regions["mouth_cavity"], regions["tongue"]]
    inside += [regions[f"{n}.{s}"] for n in ("eye_back", "eye_cavity") for s in "LR"]
    hidden = np.zeros(len(vertices), bool)
    hidden[np.concatenate(inside)] = True
    # Lips and lids belong to both an inner and an outer face: they stay visible.
    outer = ~hidden[faces].all(1)
    hidden[faces[outer]] = False

    def rim(name: str) -> np.ndarray:
        return regions[name][~hidden[regions[name]]]

    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    vertex_normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(vertex_normals, faces[:, k], normals)
    vertex_normals /= np.linalg.norm(vertex_normals, axis=1, keepdims=True) + 1e-20
    feet = of("foot_left", "foot_right")
    low = vertices[feet, 1].max()
    down = (vertex_normals[feet, 1] > 0.5) & (vertices[feet, 1] > low - 0.035)
    return {
        "hands": of("hand_left", "hand_right"),
        "feet": feet,
        "face": of("face"),
        "scalp": of("scalp"),
        "sole_left": np.intersect1d(feet[down], of("foot_left")),
        "sole_right": np.intersect1d(feet[down], of("foot_right")),
        "inside": np.flatnonzero(hidden),
        "lids_left": rim("eye_cavity.L"),
        "lids_right": rim("eye_cavity.R"),
        "lips_inner": rim("mouth_cavity"),
        "eyes": np.unique(np.concatenate([regions["eye_front.L"], regions["eye_front.R"]])),
    }
