"""The fitted body as a labelled mesh in the display frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.body.read_body import check_body, vertices_world
from pipelines.records import Body

ARM_END = ("forearm", "hand")  # what the 'armless' body lacks


@dataclass(frozen=True)
class BodyMesh:
    """vertices (V, 3) metres, display frame; faces (F, 3) int32, counter-clockwise seen from outside;
    part (V,) uint8 index into part_names."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    part: NDArray[np.uint8]
    part_names: tuple[str, ...]

    def labels(self, *stems: str) -> list[int]:
        """Indices of the parts whose name starts with one of the stems."""
        return part_labels(self.part_names, *stems)

    def without_arms(self) -> NDArray[np.int32]:
        """(F', 3) the faces that touch no forearm and no hand."""
        arm = np.isin(self.part, self.labels(*ARM_END))
        return self.faces[~arm[self.faces].any(1)]


def part_labels(names: tuple[str, ...] | NDArray[np.str_], *stems: str) -> list[int]:
    """Indices of the names that start with one of the stems ('hand' finds hand_left and hand_right)."""
    return [i for i, name in enumerate(names) if str(name).startswith(stems)]


def limbs(names: NDArray) -> NDArray[np.uint8]:
    """(256,) for each part label the limb it belongs to: 0 trunk and upper arms, then head, forearms, legs."""
    table = np.zeros(256, np.uint8)
    groups = (("head", "face", "scalp"), ("forearm_left", "hand_left"), ("forearm_right", "hand_right"),
              ("thigh_left", "shin_left", "foot_left"), ("thigh_right", "shin_right", "foot_right"))  # fmt: skip
    for number, stems in enumerate(groups):
        table[part_labels(names, *stems)] = number + 1
    return table


def cloth_groups(names: NDArray) -> NDArray[np.uint8]:
    """(256,) for each part label whose colours may stand in for it: 0 trunk and legs, 1 to 3 as `limbs`, 4 upper arms,
    whose sleeves may be short, 5 hands."""
    table = limbs(names)
    table[table >= 4] = 0
    table[part_labels(names, "upper_arm")] = 4
    table[part_labels(names, "hand")] = 5
    return table


def body_mesh(body: Body) -> BodyMesh:
    """Pose the body of a record; what is never seen from outside (mouth cavity, backs of the eyes) is left out."""
    rig = check_body(body)
    hidden = np.zeros(rig.vertex_count, bool)
    hidden[rig.vertices_of("inside")] = True
    faces = rig.faces[~hidden[rig.faces].any(1)].astype(np.int32)
    vertices = vertices_world(body).astype(np.float64)
    return BodyMesh(vertices, faces, rig.part.astype(np.uint8), tuple(rig.part_names))
