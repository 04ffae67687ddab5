"""Draws people for people to look at.

    python -m training.people [--seeds 0:64] [--out build/people.png] [--turn]

The CC0 pack is found through HUMANSCOPE_MAKEHUMAN or in ../shared/makehuman; without it plainer people are drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

WITHOUT_PACK = (
    "The MakeHuman pack is not here, so the people are plain. Its parts are CC0 and come from the repositories "
    "makehumancommunity/makehuman and makehumancommunity/makehuman-assets; put the folder beside the repository as "
    "shared/makehuman, or name it in HUMANSCOPE_MAKEHUMAN."
)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m training.people", description="A contact sheet of people.")
    parser.add_argument("--seeds", default="0:64", help="first:end; 0-8999 train, 9000-9999 test")
    parser.add_argument("--out", type=Path, default=Path("build/people.png"))
    parser.add_argument("--turn", action="store_true", help="each person from all sides, one row each")
    asked = parser.parse_args()
    first, end = (int(v) for v in asked.seeds.split(":"))
    from training.people.grow import pack_place
    from training.people.sheet import turn_sheet, write_sheet

    if pack_place() is None:
        print(WITHOUT_PACK)

    if asked.turn:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(turn_sheet(range(first, end))).save(asked.out)
    else:
        write_sheet(range(first, end), asked.out)
    print(f"{end - first} people are in {asked.out}.")


if __name__ == "__main__":
    main()
