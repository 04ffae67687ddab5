"""The systems that can be run, by name. Each recipe is imported when it is first asked for.

A recipe of one's own is added without touching this file: HUMANSCOPE_SYSTEMS="name=module,..." in the environment.
"""

from __future__ import annotations

import importlib
import os
from functools import cache

from pipelines.recipe import Recipe
from pipelines.step import UserError

SYSTEMS = {"projection": "pipelines.projection.recipe", "views": "pipelines.views.recipe"}
SYSTEMS |= dict(pair.split("=", 1) for pair in os.environ.get("HUMANSCOPE_SYSTEMS", "").split(",") if "=" in pair)


@cache
def find_system(name: str) -> Recipe:
    """The recipe of a system; UserError with the names there are."""
    if name not in SYSTEMS:
        raise UserError(f"There is no system '{name}'; there is {', '.join(SYSTEMS)}.")
    recipe = importlib.import_module(SYSTEMS[name]).RECIPE
    assert isinstance(recipe, Recipe)
    return recipe
