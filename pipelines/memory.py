"""The largest resident memory of this process while a step works."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path
from types import TracebackType


class PeakMemory:
    """`with PeakMemory() as memory: ...; memory.peak_mb` in MiB.

    Linux can reset its high-water mark (writing 5 to /proc/self/clear_refs), so the number belongs to the block
    alone; elsewhere it is the mark of the whole process so far, an upper bound.
    """

    peak_mb: float = 0.0

    def __enter__(self) -> PeakMemory:
        # Not Linux, or not allowed: the whole process's mark is still an upper bound.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.peak_mb = _high_water_mb()


def _high_water_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0 if sys.platform == "darwin" else 1024.0)
