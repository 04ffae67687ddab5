"""The work of the step `synchuman.frame`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Cutout, Keypoints
from pipelines.records import to_bytes as rounded
from pipelines.step import Context
from pipelines.synchuman.configuration import SyncHumanConfig
from pipelines.synchuman.configuration import preset as preset_of
from pipelines.synchuman.frame import alpha_box, crop_face, on_white, place_on_canvas, token_picture
from pipelines.synchuman.head_frame import Square, canvas_of, following, head_box, in_face_box
from pipelines.synchuman.records import Framed

CUT = 2  # pixels from the photo's lower border within which the feet count as cut off


def framed(matte: Cutout, keypoints: Keypoints, follow: bool, preset: str, ctx: Context) -> Framed:
    """See the step."""
    config = preset_of(preset)
    side, share = 8 * config.joint.side, config.joint.face_share
    rgba = rounded(matte.rgba)
    head = head_box(keypoints)
    followed = follow and head is not None
    if followed:
        assert head is not None
        square = following(rgba, head, share)
        canvas = canvas_of(rgba, square, side)
    else:
        square = plain_square(rgba, config.joint.quirks.legacy_rounding)
        canvas = place_on_canvas(rgba, side, config.joint.quirks.legacy_rounding)
    box = None if head is None else in_face_box(head, square, share)
    if follow and head is None:
        ctx.warn("No head was found among the keypoints, so the canvas could not follow it.")
    elif box is False:
        ctx.warn(
            "The head is not in the box that the face view is made of; its close-up shows something else. Try "
            "synchuman.frame.follow_head=true."
        )
    lowest = alpha_box(rgba, 127)[3]
    facts = {"cut": lowest >= rgba.shape[0] - CUT, "head_in_box": box, "followed": followed, "preset": preset}
    face = crop_face(canvas, share)
    ctx.progress(0.9, "canvas and face", np.concatenate([on_white(canvas), on_white(face)], 1))
    tokens = token_picture(rgba, token_side(config), config.joint.quirks.legacy_rounding)
    return Framed(canvas, face, tokens, np.array(square, np.float64), facts)


def token_side(config: SyncHumanConfig) -> int:
    """Pixels of the token picture: the encoder's trained number of patches."""
    return config.tokens.patch * config.tokens.trained_side


def plain_square(rgba: NDArray[np.uint8], legacy_rounding: bool) -> Square:
    """The square of the photo (left, top, side px) that `place_on_canvas` shows."""
    x0, y0, x1, y1 = alpha_box(rgba, 0)
    extra = 0 if legacy_rounding else 1
    width, height = x1 + extra - x0, y1 + extra - y0
    side = float(max(width, height))
    return x0 - (side - width) / 2, y0 - (side - height) / 2, side
