"""Does this implementation compute what the published one computes?

    python -m benchmarks.parity hgm                      # the small recorded files of the repository
    python -m benchmarks.parity hgm --golden DIR         # every recorded file; DIR holds them
    python -m benchmarks.parity hgm --golden DIR --full  # also the full-size passes (minutes, 5 GB)

Prints one line per recorded output: file, output, precision, largest error, tolerance, verdict. The exit code is 1
when one is beyond its tolerance or a file of DIR is missing. A system joins by one line in `TABLES`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
Arrays = dict[str, NDArray]


@dataclass(frozen=True)
class Line:
    """One compared output. error and tolerance: absolute, or relative where `relative`; note: in brackets."""

    file: str
    output: str
    precision: str
    error: float
    tolerance: float
    relative: bool = False
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is a number and within the tolerance."""
        return bool(self.error <= self.tolerance)


@dataclass(frozen=True)
class Golden:
    """One recorded file: its arrays and its stated configuration."""

    name: str
    arrays: Arrays
    config: dict[str, Any]

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def tensor(self, key: str, double: bool = False) -> torch.Tensor:
        """An array as a torch tensor; floating point ones in double precision if asked, else single."""
        made = torch.from_numpy(np.ascontiguousarray(self.arrays[key]))
        return made if not made.is_floating_point() else made.to(torch.float64 if double else torch.float32)


@dataclass(frozen=True)
class Case:
    """A recorded file and the function that compares it. full: only on demand."""

    file: str
    compare: Callable[[Golden], Iterable[Line]]
    full: bool = False


def read_golden(path: Path) -> Golden:
    """A .safetensors file with a JSON `config` in its metadata."""
    with safe_open(str(path), "np") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        config = json.loads((file.metadata() or {}).get("config", "{}"))
    return Golden(path.stem, arrays, config)


def largest_error(made: Any, wanted: NDArray, relative: bool = False) -> float:
    """Largest absolute deviation; relative: over the largest wanted value. Another shape or NaN counts as infinite."""
    array = made.detach().cpu().numpy() if isinstance(made, torch.Tensor) else np.asarray(made)
    if array.shape != wanted.shape:
        return float("inf")
    if wanted.size == 0:
        return 0.0
    error = float(np.abs(array.astype(np.float64) - wanted.astype(np.float64)).max())
    if not np.isfinite(error):
        return float("inf")
    return error / max(float(np.abs(wanted).max()), 1e-30) if relative else error


def hgm_cases() -> list[Case]:
    """The recorded files of HGM."""
    from benchmarks.parity_hgm import CASES

    return CASES


def synchuman_cases() -> list[Case]:
    """The recorded files of SyncHuman."""
    from benchmarks.parity_synchuman import CASES

    return CASES


TABLES: dict[str, Callable[[], list[Case]]] = {"hgm": hgm_cases, "synchuman": synchuman_cases}


def run(table: str, folder: Path, full: bool, only: list[str] | None = None) -> tuple[list[Line], list[str]]:
    """Every line of a table, and the files that are not in the folder (full-size ones count only if asked for)."""
    lines: list[Line] = []
    absent = []
    for case in TABLES[table]():
        path = folder / f"{case.file}.safetensors"
        if (case.full and not full) or (only and case.file not in only):
            continue
        if not path.exists():
            absent.append(case.file)
            continue
        with torch.inference_mode():
            lines += case.compare(read_golden(path))
    return lines, absent


def show(line: Line) -> str:
    """One row of the printed table."""
    kind = " rel" if line.relative else ""
    verdict = "ok" if line.passed else "BEYOND"
    note = f"  ({line.note})" if line.note else ""
    return (
        f"{line.file:<15} {line.output:<24} {line.precision:<7} {line.error:>9.2e} {line.tolerance:>9.1e}{kind:<4} "
        f"{verdict}{note}"
    )


def main(words: list[str] | None = None) -> int:
    """The command; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=sorted(TABLES))
    parser.add_argument("--golden", type=Path, help="folder of the recorded files; default: those of the repository")
    parser.add_argument("--full", action="store_true", help="also the full-size passes")
    parser.add_argument("--only", action="append", metavar="FILE", help="this file alone; may be repeated")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the lines here too")
    options = parser.parse_args(words)
    folder = options.golden or GOLDEN / options.table
    if not folder.is_dir():
        print(f"'{folder}' came as --golden, and there is no such folder; give the folder of the recorded files.")
        return 2
    torch.set_num_threads(options.threads)
    lines, absent = run(options.table, folder, options.full, options.only)
    print(f"{'file':<15} {'output':<24} {'':<7} {'error':>9} {'tolerance':>9}     verdict")
    print("\n".join(show(line) for line in lines))
    beyond = [line for line in lines if not line.passed]
    for name in absent:
        print(f"{name:<15} not in this folder" + (": MISSING" if options.golden else " (give --golden DIR for it)"))
    files = {line.file for line in lines}
    print(f"{len(lines)} outputs of {len(files)} files compared, {len(beyond)} beyond, {len(absent)} files absent.")
    if options.json:
        options.json.write_text(json.dumps([{**asdict(x), "passed": x.passed} for x in lines], indent=1) + "\n")
    return 1 if beyond or not lines or (absent and options.golden) else 0


if __name__ == "__main__":
    sys.exit(main())
