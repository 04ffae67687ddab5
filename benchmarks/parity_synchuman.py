"""SyncHuman against its recorded files, and against the list of keys of the released networks.

python -m benchmarks.parity synchuman                # the small recorded files of the repository
python -m benchmarks.parity synchuman --golden DIR   # all; DIR holds synchuman_stage1/ and synchuman_stage2/
python -m benchmarks.parity_synchuman KEYS.json ...  # coverage: {network: {key: [shape, dtype]}}
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.parity import Case
from benchmarks.parity_synchuman_joint import stage_1
from benchmarks.parity_synchuman_slat import stage_2_networks
from benchmarks.parity_synchuman_surface import stage_2_surface
from pipelines.synchuman.configuration import RELEASED
from pipelines.synchuman.networks import compare_keys, without_memory

CASES: list[Case] = stage_1() + stage_2_networks() + stage_2_surface()


def main(words: list[str]) -> int:
    """Print which keys of each file the networks have in the same shape; the exit code."""
    complete, judged = True, 0
    networks = without_memory(RELEASED)
    for path in words:
        known = json.loads(Path(path).read_text())
        for name in (name for name in networks if name in known):
            coverage = compare_keys(networks[name], {key: tuple(about[0]) for key, about in known[name].items()})
            complete, judged = complete and coverage.complete, judged + 1
            print(f"{name:<26} {coverage}")
    return 0 if complete and judged else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
