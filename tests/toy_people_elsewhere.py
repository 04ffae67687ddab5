"""The toy system in another process: being imported, by unpickling `source`, is enough to know it there."""

from __future__ import annotations

from typing import Any

from pipelines.systems import SYSTEMS
from tests import toy_people

SYSTEMS["toy"] = "tests.toy_people"


def source() -> Any:
    """The toy people."""
    return toy_people
