"""From bone rotations to bone transforms: nearest rotations, the chain of bones, lengths of bones. torch, batched."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class NearestRotation(torch.autograd.Function):
    """(..., 3, 3) -> the proper rotation nearest in the Frobenius norm (special orthogonal Procrustes).

    M = U S V^T gives R = U D V^T with D = diag(1, 1, det(U V^T)) (Umeyama 1991). With P = R^T M = V (D S) V^T the
    differential is dR = R W, W P + P W = R^T dM - dM^T R, which is diagonal in the axes V; its transpose is the
    backward pass. Unlike the derivative of the SVD it is finite for equal singular values.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        left, values, right = torch.linalg.svd(matrix)
        sign = torch.det(left @ right).sign()
        signs = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1)
        rotation = (left * signs[..., None, :]) @ right
        ctx.save_for_backward(rotation, values * signs, right)
        return rotation

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        rotation, values, right = ctx.saved_tensors
        turned = right @ (rotation.mT @ gradient) @ right.mT
        skew = (turned - turned.mT) / 2
        sums = values[..., :, None] + values[..., None, :]
        skew = skew / torch.where(sums.abs() < 1e-9, torch.ones_like(sums), sums)
        return 2 * rotation @ (right.mT @ skew @ right)


def nearest_rotation(matrix: Tensor) -> Tensor:
    """(..., 3, 3) any matrix -> (..., 3, 3) proper rotation nearest to it; differentiable."""
    return NearestRotation.apply(matrix)


class BoneTree:
    """The order in which to compose bones: levels of equal depth, parents before children.

    parents: for each bone the index of its parent, -1 for the one root, which must come first.
    """

    def __init__(self, parents: list[int]) -> None:
        if not parents or parents[0] != -1 or min(parents[1:], default=0) < 0:
            raise ValueError("The first bone must be the root (parent -1) and the only one.")
        depth = [0] * len(parents)
        for bone, parent in enumerate(parents[1:], 1):
            if parent >= bone:
                raise ValueError(f"Bone {bone} comes before its parent {parent}; parents must come first.")
            depth[bone] = depth[parent] + 1
        self.parents = torch.tensor([0, *parents[1:]])
        order = sorted(range(len(parents)), key=lambda bone: (depth[bone], bone))
        place = {bone: i for i, bone in enumerate(order)}
        self.order = torch.tensor(order)
        self.inverse = torch.tensor([place[bone] for bone in range(len(parents))])
        self.levels: list[tuple[int, int, Tensor]] = []
        first = 0
        for level in range(max(depth) + 1):
            members = [bone for bone in order if depth[bone] == level]
            start = place[next(b for b in order if depth[b] == level - 1)] if level else 0
            local = torch.tensor([place[parents[bone]] - start if level else 0 for bone in members])
            self.levels.append((first, first + len(members), local))
            first += len(members)
        # ancestors[c, b] = 1 where b lies on the way from the root to c, c included, the root left out.
        ancestors = torch.zeros(len(parents), len(parents))
        for bone in range(1, len(parents)):
            ancestors[bone] = ancestors[parents[bone]]
            ancestors[bone, bone] = 1.0
        self.ancestors = ancestors
        self._copies: dict[torch.device, BoneTree] = {}

    def to(self, device: torch.device) -> BoneTree:
        """The same tree with its index tensors on `device`."""
        if self.order.device == device:
            return self
        if device in self._copies:
            return self._copies[device]
        copy = self._copies[device] = object.__new__(BoneTree)
        copy._copies = {}
        copy.parents, copy.order = self.parents.to(device), self.order.to(device)
        copy.inverse, copy.ancestors = self.inverse.to(device), self.ancestors.to(device)
        copy.levels = [(a, b, local.to(device)) for a, b, local in self.levels]
        return copy

    def compose(self, rotations: Tensor, offsets: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
        """Chain product G_c = G_p D_c, j_c = j_p + G_p o_c.

        rotations D (..., J, 3, 3), offsets o (..., J, 3) from the parent's joint (the root's is ignored), root
        (..., 3) position of the root joint. Returns world rotations G (..., J, 3, 3) and joints j (..., J, 3).
        """
        step = torch.cat([rotations, offsets[..., None]], -1)[..., self.order, :, :]
        shape = torch.broadcast_shapes(step.shape[:-3], root.shape[:-1])
        step = step.expand(*shape, *step.shape[-3:])
        first = torch.cat([step[..., :1, :, :3], root.expand(*shape, 3)[..., None, :, None]], -1)
        levels = [first]
        for begin, end, local in self.levels[1:]:
            parent = levels[-1].index_select(-3, local)
            product = parent[..., :3] @ step[..., begin:end, :, :]
            levels.append(torch.cat([product[..., :3], product[..., 3:] + parent[..., 3:]], -1))
        world = torch.cat(levels, -3).index_select(-3, self.inverse)
        return world[..., :3], world[..., 3]


def stretch_heads(tree: BoneTree, heads: Tensor, stretch: Tensor) -> Tensor:
    """Move bone heads (..., J, 3) so that each bone's offset is stretched by its parent's matrix (..., J, 3, 3)."""
    parent = tree.parents
    offset = heads - heads[..., parent, :]
    stretched = (stretch[..., parent, :, :] @ offset[..., None])[..., 0]
    return heads[..., :1, :] + tree.ancestors.to(heads.dtype) @ stretched


def stretch_matrices(axes: Tensor, kinds: Tensor, logs: Tensor) -> Tensor:
    """(..., J, 3, 3) of each bone: I + (e^s - 1) a a^T along the axis a, or e^s I, or I.

    axes (..., J, 3) unit; kinds (J,): 0 none, 1 along the axis, 2 in all directions; logs (..., J) = s.
    """
    growth = torch.expm1(logs) * (kinds > 0)
    eye = torch.eye(3, dtype=axes.dtype, device=axes.device)
    direction = torch.where((kinds == 2)[:, None, None], eye, axes[..., :, None] * axes[..., None, :])
    return eye + growth[..., None, None] * direction
