"""The systems that can be run, by name. Each recipe is imported when it is first asked for.

A system on another preset than its usual one has a name of its own, SYSTEM-PRESET ('synchuman-tiny'); `with_preset`
finds it. What runs on stand-in networks (preset 'tiny') is found by its name and offered nowhere.

A recipe of one's own is added without touching this file: HUMANSCOPE_SYSTEMS="name=module,..." in the environment.
"""

from __future__ import annotations

import importlib
import os
from functools import cache

from pipelines.recipe import Recipe
from pipelines.step import UserError

# Module, or module:NAME where the recipe is not called RECIPE.
SYSTEMS = {
    "projection": "pipelines.projection.recipe",
    "hgm": "pipelines.hgm.recipe",
    "views": "pipelines.views.recipe",
    "synchuman": "pipelines.synchuman.recipe",
    "hgm-released": "pipelines.hgm.released_recipe:RELEASED_RECIPE",
    "synchuman-tiny": "pipelines.synchuman.recipe:TINY",
    "hgm-tiny": "pipelines.hgm.released_recipe:TINY_RECIPE",
}
SYSTEMS |= dict(pair.split("=", 1) for pair in os.environ.get("HUMANSCOPE_SYSTEMS", "").split(",") if "=" in pair)


@cache
def find_system(name: str) -> Recipe:
    """The recipe of a system; UserError with the names there are."""
    if name not in SYSTEMS:
        raise UserError(f"There is no system '{name}'; there is {', '.join(SYSTEMS)}.")
    module, _, attribute = SYSTEMS[name].partition(":")
    recipe = getattr(importlib.import_module(module), attribute or "RECIPE")
    assert isinstance(recipe, Recipe)
    return recipe


def with_preset(system: str, preset: str) -> str:
    """The name of a system on a preset; UserError with the presets it has."""
    if find_system(system).preset == preset:
        return system
    if f"{system}-{preset}" not in SYSTEMS:
        there = [find_system(n).preset for n in SYSTEMS if n == system or n.startswith(f"{system}-")]
        raise UserError(f"'{system}' has no preset '{preset}'; it has {', '.join(there)}.")
    return f"{system}-{preset}"


def offered() -> list[str]:
    """The names that a visitor is offered: all but stand-ins, which draw noise."""
    return [name for name in SYSTEMS if not name.endswith("-tiny")]
