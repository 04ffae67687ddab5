"""The default body: Anny, exported once to `assets/body/anny.npz`, posed with numpy and torch alone.

Axes. Everything is in the OpenCV axes of a person who faces the camera: **x to the person's left (the picture's
right), y down, z backwards (away from the camera)**, metres. Anny's own axes (x left, y backwards, z up) turn into
these by (x, y, z) -> (x, -z, y); `from_anny_axes` and `to_anny_axes` convert rotations of other programs.

Pose. Rotations are in the parameterisation "anny-local-ref": each bone's matrix is written in the axes above, aligned
with the world in the *reference pose* (an A-pose, arms about 45 degrees down), not in bone axes. Identity everywhere
is the reference pose; a knee flexes by a positive rotation about +x for every shape. The root's matrix turns the
whole body about the pelvis joint, and `root_translation` is where that joint is.

With D_c a bone's matrix, p its parent, h rest heads, R rest frames and U reference frames (Anny's "local-ref"):
A_c = U_c R_c^T,  G_c = G_p D_c,  j_c = j_p + G_p A_p (h_c - h_p),  vertex x -> sum_c w_c (G_c A_c (x - h_c) + j_c),
where A of the root counts as identity in the offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.body.kinematics import BoneTree, nearest_rotation, stretch_heads, stretch_matrices
from pipelines.body.rig_file import RigArrays, read_rig
from pipelines.body.skinning import apply_blended, blend

if TYPE_CHECKING:
    from pipelines.body.keypoint_operator import KeypointOperator, Point

Values = Any  # a numpy array, a sequence of floats, or a torch tensor

PHENOTYPE_DEFAULT = {"gender": 0.5, "age": 0.67, "muscle": 0.5, "weight": 0.5, "height": 0.4, "proportions": 0.5}
_OPENCV_FROM_ANNY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

# Length groups: bones whose offsets to their children (and whose vertices) stretch along the bone, or as a whole.
LENGTH_GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "upper_leg": ("along", ("upperleg01", "upperleg02")),
    "lower_leg": ("along", ("lowerleg01", "lowerleg02")),
    "trunk": ("along", ("spine05", "spine04", "spine03", "spine02", "spine01")),
    "upper_arm": ("along", ("upperarm01", "upperarm02")),
    "lower_arm": ("along", ("lowerarm01", "lowerarm02")),
    "shoulder_width": ("along", ("clavicle", "shoulder01")),
    "hip_width": ("along", ("pelvis",)),
    "neck": ("along", ("neck01", "neck02", "neck03")),
    "head": ("all", ("head", "eye")),
}


@dataclass(frozen=True)
class RestBody:
    """One shape before posing: vertices (V, 3), bone_heads (J, 3), bone_frames (J, 3, 3) bone axes -> OpenCV axes."""

    vertices: Any
    bone_heads: Any
    bone_frames: Any


@dataclass(frozen=True)
class PosedBody:
    """vertices (V, 3), joints (J, 3) posed bone heads, transforms (J, 4, 4) rest -> posed; metres, OpenCV axes."""

    vertices: Any
    joints: Any
    transforms: Any


def from_anny_axes(rotations: NDArray[np.floating]) -> NDArray[np.float64]:
    """(..., 3, 3) "local-ref" rotations as the anny package writes them -> ours: C R C^T."""
    return _OPENCV_FROM_ANNY @ np.asarray(rotations, np.float64) @ _OPENCV_FROM_ANNY.T


def to_anny_axes(rotations: NDArray[np.floating]) -> NDArray[np.float64]:
    """Inverse of `from_anny_axes`."""
    return _OPENCV_FROM_ANNY.T @ np.asarray(rotations, np.float64) @ _OPENCV_FROM_ANNY


class BodyRig:
    """The parametric body. `load()` or `default_rig()` make one; all methods are pure.

    numpy (or plain sequences) in, numpy float32 out; torch tensors in, torch tensors of their dtype and device out,
    differentiable in every argument. Arguments may have leading batch dimensions, equal or absent in each.
    """

    def __init__(self, arrays: RigArrays, vertex_ids: NDArray[np.int64] | None = None) -> None:
        self.arrays = arrays
        self.vertex_ids = np.arange(len(arrays.template)) if vertex_ids is None else vertex_ids
        self.about = arrays.about
        self.faces, self.uv, self.uv_faces = arrays.faces, arrays.uv, arrays.uv_faces
        self.part, self.part_names, self.PART_NAMES = arrays.part, arrays.part_names, arrays.part_names
        self.bone_names, self.parents = arrays.bone_names, arrays.parents
        self.mirror, self.mirror_bones = arrays.mirror, arrays.mirror_bones
        self.phenotype_names, self.local_names = arrays.phenotype_names, arrays.local_names
        self.expression_names = arrays.expression_names
        self.keypoint_names = arrays.keypoint_names
        self.length_names = tuple(LENGTH_GROUPS)
        self.tree = BoneTree(arrays.parents.tolist())
        self._bone_group, self._bone_kind, self._bone_child = self._length_tables()
        self._tensors: dict[tuple[torch.dtype, torch.device], dict[str, Tensor]] = {}
        self._dense_weights: NDArray[np.float32] | None = None

    @classmethod
    def load(cls, path: str | Path | None = None) -> BodyRig:
        """Read a body model file; None is the one in the repository. Raises FileNotFoundError, ValueError."""
        return default_rig() if path is None else cls(read_rig(path))

    # -- names and lists ---------------------------------------------------------------------------------------

    @property
    def vertex_count(self) -> int:
        return len(self.arrays.template)

    @property
    def bone_count(self) -> int:
        return len(self.bone_names)

    @property
    def skin_indices(self) -> NDArray[np.int64]:
        """(V, 9) bones of each vertex, heaviest first."""
        return self.arrays.skin_indices

    @property
    def skin_weights(self) -> NDArray[np.float32]:
        """(V, 9) weights, rows sum to 1, zero where unused."""
        return self.arrays.skin_weights

    def bone(self, name: str) -> int:
        """Index of a bone by its name; raises ValueError with the name."""
        if name not in self.bone_names:
            raise ValueError(f"There is no bone {name!r}; the names are in `bone_names`.")
        return self.bone_names.index(name)

    def vertices_of(self, *names: str) -> NDArray[np.int64]:
        """Vertex ids of parts (PART_NAMES) or lists ("hands", "sole_left", "inside", ...), joined and sorted."""
        found = []
        for name in names:
            if name in self.arrays.lists:
                found.append(self.arrays.lists[name])
            elif name in self.part_names:
                found.append(np.flatnonzero(self.part == self.part_names.index(name)))
            else:
                known = ", ".join([*self.part_names, *self.arrays.lists])
                raise ValueError(f"There is no body part or list {name!r}; known are {known}.")
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)

    def default_phenotypes(self) -> NDArray[np.float32]:
        """(6,) an average young adult between man and woman, about 1.7 m."""
        return np.array([PHENOTYPE_DEFAULT[name] for name in self.phenotype_names], np.float32)

    def identity_pose(self) -> NDArray[np.float32]:
        """(J, 3, 3) the reference pose."""
        return np.tile(np.eye(3, dtype=np.float32), (self.bone_count, 1, 1))

    # -- shape --------------------------------------------------------------------------------------------------

    def coefficients(self, phenotypes: Tensor, local: Tensor | None) -> Tensor:
        """Shape coefficients (..., R + 2L): piecewise multilinear in phenotypes 0..1, signed halves of local -1..1."""
        t = self.tensors(phenotypes)
        product = phenotypes.new_ones(*phenotypes.shape[:-1], 1)
        hats = hat_weights(phenotypes, t["anchors"])
        for i, anchors in enumerate(self.arrays.anchors):
            product = (product[..., :, None] * hats[..., i, None, : len(anchors)]).flatten(-2)
        shape = product @ t["phenotype_table"]
        if local is None:
            local = shape.new_zeros(len(self.local_names))
        # Written so that the slope at zero is one in both directions, as in Anny: no dead start.
        halves = torch.stack([local * (local >= 0), -local * (local <= 0)], -1).flatten(-2)
        return torch.cat([shape, halves.expand(*shape.shape[:-1], -1)], -1)

    def rest(self, phenotypes: Values, local: Values | None = None, expression: Values | None = None,
             length_scales: Values | dict[str, Any] | None = None) -> RestBody:  # fmt: skip
        """The body before posing.

        phenotypes (6,) in 0..1 in the order of `phenotype_names` (values outside are clamped); local (L,) in -1..1;
        expression (E,) face actions in 0..1; length_scales (9,) natural logarithms of length factors in the order of
        `length_names`, or a dict name -> logarithm. None is zero.
        """
        values, numpy = as_tensors(phenotypes, local, expression, self._scale_vector(length_scales))
        phenotypes, local, expression, scales = values
        t = self.tensors(phenotypes)
        if phenotypes.shape[-1] != len(self.phenotype_names):
            raise ValueError(
                f"{phenotypes.shape[-1]} phenotypes came; {len(self.phenotype_names)} are needed: "
                f"{', '.join(self.phenotype_names)}."
            )
        c = self.coefficients(phenotypes, local)
        used = c if local is not None else c[..., : t["basis"].shape[0]]
        vertices = t["template"] + linear(used, t, "basis", "local")
        if expression is not None:
            moved = (expression @ t["expression"].flatten(1)).unflatten(-1, (-1, 3))
            vertices = vertices.index_add(-2, t["expression_vertices"], moved.to(vertices.dtype))
        heads = t["bone_heads"] + linear(used, t, "bone_heads_basis", "bone_heads_local")
        frames = nearest_rotation(t["bone_frames"] + linear(used, t, "bone_frames_basis", "bone_frames_local"))
        if scales is not None:
            stretch, moved_heads = self.stretch(heads, scales)
            shift = moved_heads - (stretch @ heads[..., None])[..., 0]
            rows = blend(t["weights"], torch.cat([stretch, shift[..., None]], -1))
            vertices, heads = apply_blended(vertices, rows), moved_heads
        return RestBody(*(out(x, numpy) for x in (vertices, heads, frames)))

    def stretch(self, heads: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Stretch matrices (..., J, 3, 3) and moved heads (..., J, 3) for log length factors (..., 9)."""
        return stretch_bones(self.tree.to(heads.device), self.tensors(heads), heads, scales)

    # -- pose ---------------------------------------------------------------------------------------------------

    def pose(self, rest: RestBody, rotations: Values, root_translation: Values) -> PosedBody:
        """Pose a rest body.

        rotations (J, 3, 3) "anny-local-ref" (module docstring), root included; root_translation (3,) of the pelvis
        joint, metres. Raises ValueError when the bones do not match.
        """
        values, numpy = as_tensors(rest.vertices, rest.bone_heads, rest.bone_frames, rotations, root_translation)
        vertices, heads, frames, rotations, root = values
        if rotations.shape[-3:] != (self.bone_count, 3, 3):
            raise ValueError(
                f"Rotations came as {tuple(rotations.shape)}; this body has {self.bone_count} bones, so "
                f"({self.bone_count}, 3, 3) is needed."
            )
        t = self.tensors(heads)
        tree = self.tree.to(heads.device)
        linear_part, joints = pose_bones(tree, t["reference_frames"], heads, frames, rotations, root)
        shift = joints - (linear_part @ heads[..., None])[..., 0]
        transforms = torch.cat([linear_part, shift[..., None]], -1)
        posed = apply_blended(vertices, blend(t["weights"], transforms))
        last = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=heads.dtype, device=heads.device)
        last = last.expand(*transforms.shape[:-2], 1, 4)
        return PosedBody(*(out(x, numpy) for x in (posed, joints, torch.cat([transforms, last], -2))))

    # -- parts of the body --------------------------------------------------------------------------------------

    def subset(self, vertex_ids: NDArray[np.integer]) -> BodyRig:
        """A rig of these vertices only, in this order (all bones stay); its faces are those wholly inside."""
        from pipelines.body.rig_subset import subset_arrays

        ids = np.asarray(vertex_ids, np.int64)
        return BodyRig(subset_arrays(self.arrays, ids), self.vertex_ids[ids])

    def keypoint_operator(self, points: list[Point]) -> KeypointOperator:
        """A fast map from shape and pose to a few points, without skinning (see `KeypointOperator`)."""
        from pipelines.body.keypoint_operator import KeypointOperator

        return KeypointOperator(self, points)

    # -- internals ----------------------------------------------------------------------------------------------

    def tensors(self, like: Tensor) -> dict[str, Tensor]:
        """The model's arrays with the dtype and on the device of `like`, made once for each."""
        key = (like.dtype, like.device)
        if key not in self._tensors:
            self._tensors[key] = self._make_tensors(*key)
        return self._tensors[key]

    def _make_tensors(self, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        a = self.arrays
        floats: dict[str, NDArray[Any]] = {
            "template": a.template, "basis": a.basis, "local": a.local, "expression": a.expression,
            "phenotype_table": a.phenotype_table.reshape(-1, a.phenotype_table.shape[-1]),
            "reference_frames": a.reference_frames, "weights": self.dense_weights(),
        }  # fmt: skip
        for name, triple in (("bone_heads", a.bone_heads), ("bone_frames", a.bone_frames)):
            floats |= {name: triple[0], f"{name}_basis": triple[1], f"{name}_local": triple[2]}
        floats["anchors"] = np.full((len(a.anchors), max(map(len, a.anchors))), np.inf)
        for row, anchors in zip(floats["anchors"], a.anchors, strict=True):
            row[: len(anchors)] = anchors
        whole = {"expression_vertices": a.expression_vertices, "length_group": self._bone_group,
                 "length_kind": self._bone_kind, "length_child": self._bone_child}  # fmt: skip
        made = {k: torch.as_tensor(np.ascontiguousarray(v)).to(device, dtype) for k, v in floats.items()}
        return made | {k: torch.as_tensor(v).to(device) for k, v in whole.items()}

    def dense_weights(self) -> NDArray[np.float32]:
        """(V, J) skin weights."""
        if self._dense_weights is None:
            dense = np.zeros((self.vertex_count, self.bone_count), np.float32)
            np.add.at(dense, (np.arange(self.vertex_count)[:, None], self.skin_indices), self.skin_weights)
            self._dense_weights = dense
        return self._dense_weights

    def _scale_vector(self, scales: Values | dict[str, Any] | None) -> Values | None:
        if not isinstance(scales, dict):
            return scales
        unknown = set(scales) - set(self.length_names)
        if unknown:
            raise ValueError(f"Unknown length groups {sorted(unknown)}; known are {', '.join(self.length_names)}.")
        values = [scales.get(name, 0.0) for name in self.length_names]
        leader = next((v for v in values if isinstance(v, Tensor)), None)
        if leader is None:
            return values
        return torch.stack([v if isinstance(v, Tensor) else leader.new_tensor(v) for v in values], -1)

    def _length_tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Per bone: length group, kind of stretch (0 none, 1 along, 2 all), and the child that gives the axis."""
        count = self.bone_count
        group, kind, child = np.zeros(count, np.int64), np.zeros(count, np.int64), np.arange(count)
        for g, (how, stems) in enumerate(LENGTH_GROUPS.values()):
            for bone, name in enumerate(self.bone_names):
                if name.split(".")[0] in stems:
                    group[bone], kind[bone] = g, 1 if how == "along" else 2
        for bone, name in enumerate(self.bone_names):
            children = np.flatnonzero(self.parents == bone)
            if len(children):
                # The trunk's last bone carries neck and clavicles, the wrist five fingers: the neck, the middle one.
                child[bone] = self.bone_names.index("neck01") if name == "spine01" else children[len(children) // 2]
        return group, kind, child


def stretch_bones(tree: BoneTree, tables: dict[str, Tensor], heads: Tensor,
                  scales: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As `BodyRig.stretch`, for any tree whose tables say group, kind and axis child of each bone."""
    axes = torch.nn.functional.normalize(heads[..., tables["length_child"], :] - heads, dim=-1, eps=1e-6)
    matrices = stretch_matrices(axes, tables["length_kind"], scales[..., tables["length_group"]])
    return matrices, stretch_heads(tree, heads, matrices)


def pose_bones(tree: BoneTree, reference: Tensor, heads: Tensor, frames: Tensor, rotations: Tensor,
               root: Tensor) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Linear parts G_c A_c (..., J, 3, 3) and joints (..., J, 3) of the posed bones (module docstring of the rig)."""
    align = reference @ frames.mT
    parent = tree.parents
    offset = heads - heads[..., parent, :]
    turned = (align[..., parent, :, :] @ offset[..., None])[..., 0]
    turned = torch.where((parent == 0)[:, None], offset, turned)
    world, joints = tree.compose(rotations, turned, root)
    return world @ align, joints


def hat_weights(values: Tensor, anchors: Tensor) -> Tensor:
    """(..., P) values -> (..., P, n) weights of linear interpolation between anchors (P, n), clamped to their range.

    Rows of anchors are ascending, filled up with infinity where a phenotype has fewer. The slope at an anchor is that
    of the interval below it.
    """
    last = torch.where(anchors.isinf(), -torch.inf, anchors).amax(-1)
    values = torch.where(values < anchors[:, 0], anchors[:, 0], values)
    values = torch.where(values > last, last, values)
    upper = (values.detach()[..., None] > anchors).sum(-1, keepdim=True)
    upper = torch.minimum(upper.clamp(min=1), anchors.isfinite().sum(-1, keepdim=True) - 1)
    rows = anchors.expand(*values.shape, anchors.shape[-1])
    low, high = rows.gather(-1, upper - 1), rows.gather(-1, upper)
    share = (values[..., None] - low) / (high - low)
    place = torch.arange(anchors.shape[-1], device=values.device)
    return (place == upper - 1) * (1 - share) + (place == upper) * share


def linear(coefficients: Tensor, tensors: dict[str, Tensor], basis: str, local: str) -> Tensor:
    """Sum of coefficients (..., R or R + 2L) times rows of the shape basis and of the local changes."""
    first = tensors[basis]
    total = coefficients[..., : len(first)] @ first.flatten(1)
    if coefficients.shape[-1] > len(first):
        total = total + coefficients[..., len(first) :] @ tensors[local].flatten(1)
    return total.unflatten(-1, first.shape[1:])


def as_tensors(*values: Values | None) -> tuple[list[Any], bool]:
    """Tensors of one dtype and device (of the first torch tensor, else float32 CPU), and whether all were numpy."""
    leader = next((v for v in values if isinstance(v, Tensor)), None)
    dtype = leader.dtype if leader is not None else torch.float32
    device = leader.device if leader is not None else torch.device("cpu")
    made = [None if v is None else v if isinstance(v, Tensor) else torch.as_tensor(np.asarray(v)) for v in values]
    return [None if m is None else m.to(device, dtype) for m in made], leader is None


def out(tensor: Tensor, numpy: bool) -> Any:
    return tensor.numpy() if numpy else tensor


@lru_cache(maxsize=1)
def default_rig() -> BodyRig:
    """The body model of the repository, read once per process."""
    return BodyRig(read_rig())
