"""HGM weights in another form -> one .safetensors file as the steps take it.

    python -m pipelines.hgm.rewrite_weights FILE NEW.safetensors [--rename GROUP=MODULE ...] [--sparse in_out|out_in]

FILE: shards by their index, a training checkpoint, a file whose modules have other names, or one with sparse weights of an
older layout: what `weights check FILE` asks to be told. Nothing is guessed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file

from pipelines.hgm.configuration import RELEASED, HgmConfig
from pipelines.hgm.coverage import REFUSED, Coverage
from pipelines.hgm.released_weights import SparseLayout, read_released
from pipelines.step import UserError


def rewrite(
    path: Path, out: Path, rename: Mapping[str, str], sparse: SparseLayout | None, base: HgmConfig = RELEASED
) -> Coverage:
    """Write the file anew, whole or not at all; the report on what came. rename: {"group.": "module."}.

    UserError for a file that is refused, or would be with these answers, and for an output that is no .safetensors.
    """
    if out.suffix != ".safetensors":
        raise UserError(f"The new file came as '{out.name}'; it needs to end in .safetensors.")
    source, report = read_released(path, rename, sparse, base)
    if report.verdict == REFUSED:
        raise UserError(f"'{path.name}' cannot be written anew, it would still be refused:\n{report.text()}")
    part = out.with_name(f".{out.name}.part")
    try:
        save_file({key: entry.read().contiguous().clone() for key, entry in source.entries.items()}, part)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return report


def parse_names(pairs: list[str]) -> dict[str, str]:
    """['GROUP=MODULE', ...] -> {'GROUP.': 'MODULE.'}."""
    found = {}
    for pair in pairs:
        group, equals, module = pair.partition("=")
        if not (group and equals and module):
            raise UserError(f"--rename came as '{pair}'; it needs GROUP=MODULE, for example smpl_net=net.")
        found[group.rstrip(".") + "."] = module.rstrip(".") + "."
    return found


def main(words: list[str] | None = None) -> int:
    """The command line; exit code 2 for what cannot be used."""
    parser = argparse.ArgumentParser(prog="pipelines.hgm.rewrite_weights", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rename", action="append", default=[], metavar="GROUP=MODULE")
    parser.add_argument("--sparse", choices=("in_out", "out_in"))
    arguments = parser.parse_args(words)
    try:
        report = rewrite(arguments.file, arguments.out, parse_names(arguments.rename), arguments.sparse)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{report.text()}\nWrote {arguments.out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
