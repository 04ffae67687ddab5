"""The declared step `body.fit`: cut-out and landmarks in, a posed body out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.records import Body, Cutout, Keypoints
from pipelines.step import Context, UserError, knob, step


@dataclass(frozen=True)
class FitParams:
    """Knobs of the body fit."""

    iterations: int = knob(60, "How long to look; fewer is faster.", low=12, high=400)
    fov: float = knob(40.0, "The camera's field of view over the longer side of the photo.", low=8, high=110,
                      unit="degrees")  # fmt: skip
    upright: str = knob("auto", "Does the person stand upright? Read from the picture, or decided by you.",
                        choices=("auto", "on", "off"))  # fmt: skip
    knees: float = knob(1.0, "How strongly legs that look straight are made straight.", low=0, high=10)
    mask: float = knob(1.0, "How strongly the body is kept inside the cut-out.", low=0, high=10)
    age: str = knob("auto", "Whose proportions: found out from head and limbs, or decided by you.",
                    choices=("auto", "adult", "child"))  # fmt: skip
    pitch_spread: float = knob(8.0, "How far the camera may look up or down.", low=0.1, high=40, unit="degrees")


@step("body.fit", version=4, title="Body", weights=["body", "lift", "picture_lift"])
def body_fit(matte: Cutout, keypoints: Keypoints, params: FitParams, ctx: Context) -> Body:
    """Fit the body model to the landmarks, inside the cut-out, upright and with its feet on the ground."""
    # Imported here: a declaration must load without torch and its like.
    from pipelines.body.fit import Settings, fit_body
    from pipelines.body.fit_evidence import read_evidence
    from pipelines.body.fit_points import default_fit_body
    from pipelines.body.fit_record import doubts, record_of
    from pipelines.geometry.cameras import intrinsics

    if not np.isfinite(keypoints.body).all() or not np.isfinite(keypoints.world).all():
        raise UserError("The landmarks hold a number that is not finite; read them again or correct the file.")
    height, width = matte.alpha.shape
    body = default_fit_body()
    upright = {"auto": None, "on": 1.0, "off": 0.0}[params.upright]
    K = intrinsics(width, height, params.fov)
    evidence = read_evidence(keypoints, matte.alpha, K, upright)
    child = {"auto": None, "adult": False, "child": True}[params.age]
    spread = float(np.radians(params.pitch_spread))
    settings = Settings(params.iterations, upright, params.knees, params.mask, spread, child)
    fit = fit_body(body, evidence, settings, ctx.progress)
    result = record_of(fit, body, evidence, keypoints)
    for sentence in doubts(result, evidence):
        ctx.warn(sentence)
    return result
