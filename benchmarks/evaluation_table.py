"""Write the README's table of scores from the results that the command `evaluate` left.

    python -m benchmarks.evaluation_table README.md [benchmarks/results/evaluate_people.json ...]
                                          [--published TABLES.json PROTOCOL]

Without names, every benchmarks/results/evaluate*.json that holds people is taken. The table replaces what stands
between the two markers of `pipelines.evaluate.report`; without them it says which lines to put where it is to go.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pipelines.evaluate.published import published_table
from pipelines.evaluate.report import SCHEMA, markdown_table, write_between_markers

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path)
    parser.add_argument("results", type=Path, nargs="*")
    parser.add_argument(
        "--published", nargs=2, metavar=("TABLES.json", "PROTOCOL"), help="other people's numbers below"
    )
    arguments = parser.parse_args()
    found = [json.loads(p.read_text()) for p in arguments.results or sorted(RESULTS.glob("evaluate*.json"))]
    reports = [r for r in found if r.get("schema") == SCHEMA]
    if not reports:
        print(f"There is no result of an evaluation on people in '{RESULTS}'; run 'python app.py evaluate' first.")
        return 2
    try:
        table = markdown_table(reports)
        if arguments.published:
            document = json.loads(Path(arguments.published[0]).read_text())
            table += "\n\n" + published_table(document, arguments.published[1])
        arguments.document.write_text(write_between_markers(arguments.document.read_text(), table))
    except ValueError as error:
        print(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
