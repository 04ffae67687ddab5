"""Tables, notes and lines to copy as HTML; every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from ui.evaluation_charts import number
from ui.evaluation_result import Column, Mean, Metric


def table(names: Sequence[str], columns: Sequence[Column], metrics: dict[str, Metric]) -> str:
    """Means with their intervals; the protocol of a metric unfolds under its name."""
    above, heads = [], []
    for system, group in groupby(columns, lambda c: c.system):
        members = list(group)
        if members[0].system == members[0].variant:
            above.append(f'<th scope="col" rowspan="2">{escape(system)}</th>')
            continue
        above.append(f'<th scope="colgroup" colspan="{len(members)}">{escape(system)}</th>')
        heads += [f'<th scope="col">{escape(c.variant)}</th>' for c in members]
    rows = []
    for name in names:
        metric = metrics[name]
        arrow = {"higher": "higher is better", "lower": "lower is better"}.get(metric.better, "a fact")
        head = (
            f'<th scope="row"><details><summary>{escape(metric.head)}</summary><p><code>{escape(metric.id)}</code>, '
            f"{arrow}. {escape(metric.sentence)}</p></details></th>"
        )
        cells = "".join(f"<td>{cell(c.means.get(name), metric.digits)}</td>" for c in columns)
        rows.append(f"<tr>{head}{cells}</tr>")
    return (
        f'<div class="hs-eval-scroll" tabindex="0" role="region" aria-label="Scores"><table class="hs-eval-table">'
        f'<thead><tr><th scope="col" rowspan="2">mean</th>{"".join(above)}</tr><tr>{"".join(heads)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def cell(mean: Mean | None, digits: int) -> str:
    """'19.39' over '18.38 to 20.59', or a dash."""
    if mean is None:
        return "–"
    text = f"<b>{number(mean.mean, digits)}</b>"
    if mean.low is not None and mean.high is not None:
        text += f"<small>{number(mean.low, digits)} to {number(mean.high, digits)}</small>"
    return text


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], label: str) -> str:
    """A plain table; the first column is the rows' names."""
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(v)}</td>" for v in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="hs-eval-scroll" tabindex="0" role="region" aria-label="{escape(label, quote=True)}">'
        f'<table class="hs-eval-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def command_box(lines: Iterable[str]) -> str:
    """Lines to copy."""
    text = escape("\n".join(lines))
    copy = '<button type="button" class="hs-plain hs-copy">Copy</button>'
    return f'<div class="hs-command"><pre><code>{text}</code></pre>{copy}</div>'


def sentences(notes: Iterable[str]) -> str:
    """Small print."""
    kept = [n for n in notes if n]
    return f'<ul class="hs-eval-notes">{"".join(f"<li>{escape(n)}</li>" for n in kept)}</ul>' if kept else ""


def digits_of(metric: Metric | None, values: Sequence[float | str]) -> int:
    """Digits behind the point: as the protocol says, else three for shares, one for others, none for counts."""
    if metric is not None:
        return metric.digits
    if all(isinstance(v, int) for v in values):
        return 0
    return 3 if all(isinstance(v, float) and abs(v) <= 1 for v in values) else 1


def shown(value: float | str | None, digits: int) -> str:
    """A number with its digits, or a dash."""
    return number(value, digits) if isinstance(value, (int, float)) else "–"


def in_words(name: str) -> str:
    """A key as words."""
    return name.replace("_", " ")
