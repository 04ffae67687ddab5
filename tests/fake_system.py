"""A tiny system for tests of the store, the worker and the page: real records, quick synthetic content.

Chosen by HUMANSCOPE_SYSTEMS="fake=tests.fake_system". Every record is a stand-in and says so.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipelines.recipe import Recipe
from pipelines.records import Curve, Cutout, Photo, Upload
from pipelines.step import Context, UserError, knob, step


@dataclass(frozen=True)
class PhotoParams:
    brightness: float = knob(1.0, "Factor on all colours.", low=0.1, high=2.0)


@step("photo", version=1, title="Photo")
def photo(upload: Upload, params: PhotoParams, ctx: Context) -> Photo:
    """Stand-in: reads the picture with PIL."""
    try:
        image = np.asarray(Image.open(io.BytesIO(upload.data)).convert("RGB"), np.float32) / 255
    except OSError as error:
        raise UserError("The file is not a picture; drop a photo.") from error
    return Photo(np.clip(image * params.brightness, 0, 1), None, {"stand_in": True})


@dataclass(frozen=True)
class MatteParams:
    threshold: float = knob(0.5, "Where the cut lies.", low=0.0, high=1.0)


@step("matte", version=1, title="Cut-out")
def matte(photo: Photo, params: MatteParams, ctx: Context) -> Cutout:
    """Stand-in: alpha is the brightness above a threshold."""
    alpha = (photo.rgb.mean(-1) > params.threshold).astype(np.float32)
    if not alpha.any():
        ctx.warn("The cut-out is empty.")
    return Cutout(np.dstack([photo.rgb, alpha]), {"source": "stand-in"})


@dataclass(frozen=True)
class SlowParams:
    iterations: int = knob(10, "How many iterations.", low=1, high=10000)
    seconds: float = knob(0.02, "Seconds of one iteration.", low=0.0, high=10.0, unit="s", affects_result=False)
    fail_at: int = knob(-1, "Raise an error at this iteration.", low=-1, high=10000)


@step("slow", version=1, title="Slow", seeded=True)
def slow(matte: Cutout, params: SlowParams, ctx: Context) -> Curve:
    """Stand-in: seeded random numbers, one per iteration."""
    generator = np.random.default_rng(ctx.seed)
    values = np.zeros((params.iterations, 1), np.float32)
    for i in range(params.iterations):
        ctx.progress(i / params.iterations, f"iteration {i + 1} of {params.iterations}", matte.rgb)
        if i == params.fail_at:
            raise RuntimeError("planted fault")
        values[i] = generator.random() + matte.alpha.mean()
        time.sleep(params.seconds)
    return Curve(("loss",), values)


@dataclass(frozen=True)
class LastParams:
    factor: int = knob(2, "What the numbers are multiplied by.", low=0, high=9)


@step("last.step", version=1, title="Last", kind="generated")
def last(slow: Curve, params: LastParams, ctx: Context) -> Curve:
    """Stand-in: multiplies."""
    return Curve(slow.names, slow.values * params.factor)


RECIPE = Recipe("fake", "Stand-in", "Synthetic steps for tests.", "tiny", (photo, matte, slow, last))
