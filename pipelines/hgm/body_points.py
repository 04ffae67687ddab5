"""The points that the released tokens belong to: SMPL-X vertices of the fitted body, from the user's own file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.body.convert import smplx_from_anny
from pipelines.body.read_body import check_body, posed
from pipelines.body.smplx_file import VERTICES, SmplxModel
from pipelines.hgm.cameras import vertices_to_network
from pipelines.records import Body
from pipelines.step import MissingNeed, UserError

Floats = NDArray[np.float64]


def smplx_points(body: Body, smplx: Path, tokens: int = VERTICES, rounds: int = 5) -> tuple[Floats, Floats]:
    """SMPL-X fitted to a body of ours: (10475, 3) network units, and its pelvis (3,), photo camera frame, metres.

    smplx: the official SMPLX_*.npz; `Weights.path('smplx')` says how to get it. tokens: of the loaded network.
    MissingNeed when the network's tokens belong to another body model, UserError when the file is not readable.
    """
    check_tokens(tokens)
    try:
        model = SmplxModel.load(smplx)
    except (ValueError, FileNotFoundError) as error:
        raise UserError(f"'{smplx.name}' came as the SMPL-X body model: {error}") from error
    fit = smplx_from_anny(model, check_body(body), posed(body), rounds)
    made = model.pose(model.rest(fit.betas), fit.rotations, fit.translation)
    root = np.asarray(made.joints, np.float64)[0]
    return vertices_to_network(made.vertices, root), root


def check_tokens(tokens: int) -> None:
    """MissingNeed unless the network's tokens are SMPL-X vertices."""
    if tokens != VERTICES:
        raise MissingNeed(
            f"These HGM weights have {tokens} tokens, which are not the {VERTICES} vertices of SMPL-X; "
            "bodies can be made for SMPL-X alone: use the SMPL-X weights, or the preset 'compact'."
        )
