"""SyncHuman's own steps on the stand-in networks, as far as the clean surface, for tests of the page.

Chosen by HUMANSCOPE_SYSTEMS="ten=tests.synchuman_system". The photo's matte and keypoints are stand-ins as well; the
steps from the canvas on are the system's own.
"""

from __future__ import annotations

from pipelines.recipe import Recipe
from pipelines.synchuman.recipe import TINY
from tests.fake_system import matte, photo
from tests.page_system import keypoints

OWN = ("frame", "joint", "views", "voxels", "slat", "surface", "clean")
STEPS = {step.name: step for step in TINY.steps}

RECIPE = Recipe(
    "ten", "Stand-in with SyncHuman's steps", "Noise from a synthetic photo.", "tiny",
    (photo, matte, keypoints, *(STEPS[f"synchuman.{name}"] for name in OWN)),
)  # fmt: skip
