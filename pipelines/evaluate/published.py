"""Published numbers, never without their protocol: a table of its own below ours, from a document of such numbers.

The document (JSON): protocols {id: sentences}, results [{method, dataset, metric, value, unit, protocol, ...}],
released_evaluation {facts: [sentences]} with what is known to be odd about the code that made some of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def published_table(document: Mapping[str, Any], protocol: str) -> str:
    """Markdown: the numbers of one protocol, a row per method and data set, the protocol above, its warnings below.

    ValueError with the protocols there are when it has no number of this one.
    """
    rows = [r for r in document.get("results", []) if r.get("protocol") == protocol]
    if not rows or protocol not in document.get("protocols", {}):
        there = ", ".join(sorted({str(r.get("protocol")) for r in document.get("results", [])}))
        raise ValueError(f"There is no published number of the protocol '{protocol}'; there is {there or 'none'}.")
    metrics = list(dict.fromkeys(str(r["metric"]) for r in rows))
    methods = list(dict.fromkeys((str(r["method"]), str(r["dataset"])) for r in rows))
    values = {(str(r["method"]), str(r["dataset"]), str(r["metric"])): r["value"] for r in rows}
    lines = [
        f"Published, on other people and by another protocol (`{protocol}`): {document['protocols'][protocol]}",
        "",
    ]
    lines += ["| method | people | " + " | ".join(metrics) + " |", "|---|---|" + "---:|" * len(metrics)]
    for method, dataset in methods:
        cells = [str(values.get((method, dataset, metric), "–")) for metric in metrics]
        lines.append(f"| {method} | {dataset} | " + " | ".join(cells) + " |")
    facts = document.get("released_evaluation", {}).get("facts", [])
    return "\n".join([*lines, "", *(f"- {fact}" for fact in facts)])
