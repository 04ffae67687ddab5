"""The page's evaluation part as HTML, from results alone. Every text that came from a file is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pipelines.evaluate.protocols import TABLE
from ui.evaluation_charts import curve_chart, gap_chart, legend, number
from ui.evaluation_command import command, made_on
from ui.evaluation_result import PEOPLE, PHOTOS, SEARCH, Column, Metric, Result
from ui.evaluation_tables import command_box, digits_of, grid, in_words, sentences, shown, table

CURVES = ("psnr", "iou")
LOST = "lost without each part"
NOTHING = {
    PEOPLE: ("No table of scores on people is stored here", "python app.py evaluate --system projection --people "
             "9000:9012 --body both --oracle --out evaluation"),
    SEARCH: ("No failure search is stored here", "python app.py evaluate --system projection --people 9000:9200 "
             "--search 60 --out search"),
    PHOTOS: ("No scores on real photos are stored here", "python app.py evaluate --system projection --photos PHOTOS "
             "--out photos"),
}  # fmt: skip
SHORT = {"iou": "front IoU", "psnr": "front PSNR (dB)", "psnr_inside": "front PSNR inside (dB)", "lean_deg": "lean (°)",
         "lean_before_deg": "lean before (°)", "reprojection_pct": "keypoints off (% of height)",
         "inside_mask": "inside the cut-out", "to_splats": "to splats (s)", "total": "total (s)",
         "peak_mb": "peak memory (MB)"}  # fmt: skip


def stored_page(results: Sequence[Result], group: str = "") -> str:
    """What is stored: the table of `group` (or the newest), the newest failure search, the newest photos."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        if result.columns:
            groups.setdefault(result.group, []).append(result)
    chosen = group if group in groups else next(iter(groups), "")
    parts = [people_sections(groups[chosen])] if chosen else [missing(PEOPLE)]
    for schema, section in ((SEARCH, search_section), (PHOTOS, photos_section)):
        newest = next((r for r in results if (r.search if schema == SEARCH else r.photos)), None)
        parts.append(section(newest) if newest else missing(schema))
    choice = "".join(
        f'<option value="{escape(key, quote=True)}"{" selected" if key == chosen else ""}>{escape(title_of(members))}'
        "</option>" for key, members in groups.items()
    )  # fmt: skip
    chooser = f'<label class="hs-eval-choice">Table <select id="hs-eval-table">{choice}</select></label>'
    return f'<div class="hs-eval-choose">{chooser if len(groups) > 1 else ""}</div>{"".join(parts)}'


def uploaded_page(result: Result) -> str:
    """What a researcher's own file holds."""
    parts = [people_sections([result])] if result.columns else []
    parts += [search_section(result)] if result.search else []
    parts += [photos_section(result)] if result.photos else []
    bar = f'<p class="hs-eval-own" role="status">Shown is your file <b>{escape(result.name)}</b>; it is not kept. '
    back = '<button type="button" class="hs-plain" id="hs-eval-back">Back to the stored results</button></p>'
    return bar + back + "".join(parts)


def missing(schema: str) -> str:
    """One sentence for what is not there, with the command that makes it."""
    words, line = NOTHING[schema]
    return f'<section class="hs-box hs-eval-none"><p>{words}; this makes one:</p>{command_box([line])}</section>'


def people_sections(results: Sequence[Result]) -> str:
    """Table, gap, curves and commands of results about the same people."""
    columns = columns_of(results)
    metrics = {n: m for r in results for n, m in r.metrics.items()}
    return "".join([
        table_section(results, columns, metrics), gap_section(results, metrics), worth_section(results, metrics),
        curves_section(columns, metrics), command_section(results),
    ])  # fmt: skip


def columns_of(results: Sequence[Result]) -> list[Column]:
    """The columns of all results, a system's variants side by side, the blank baseline once and last."""
    found = {(c.system, c.variant): c for r in reversed(results) for c in r.columns}
    order = list(dict.fromkeys(c.system for c in found.values()))
    return sorted(found.values(), key=lambda c: (c.system == c.variant, order.index(c.system)))


def title_of(results: Sequence[Result]) -> str:
    """'People 9000 to 9011: projection, hgm'."""
    first, end = results[0].span or (0, 0)
    names = dict.fromkeys(c.system for r in results for c in r.columns if c.system != c.variant)
    return f"People {first} to {end - 1}: {', '.join(names)}"


def table_section(results: Sequence[Result], columns: Sequence[Column], metrics: dict[str, Metric]) -> str:
    """The scores: a row a metric, a column a system and variant; the metrics of the README first, the rest folded."""
    first, end = results[0].span or (0, 0)
    settings = results[0].settings
    order = [n for n in TABLE if n in metrics] + [n for n in metrics if n not in TABLE]
    order = [n for n in order if any(n in c.means for c in columns)]
    main = [n for n in order if n in TABLE] or order
    rest = [n for n in order if n not in main]
    facts = [f"People {first} to {end - 1} ({end - first})"]
    if "views" in settings and "view_px" in settings:
        facts.append(f"{settings['views']} views at {settings['view_px']} px")
    facts += dict.fromkeys(made_on(r) for r in results)
    folded = (
        f"<details><summary>{len(rest)} more numbers</summary>{table(rest, columns, metrics)}</details>"
        if rest else ""
    )  # fmt: skip
    interval = next((r.interval for r in results if r.interval), "")
    notes = [f"The interval under each mean: {interval}." if interval else "", *(n for r in results for n in r.notes)]
    notes += [f"{c.title}: failed on {c.failed} of {end - first} people." for c in columns if c.failed]
    return (
        f'<section class="hs-box"><h2>Scores on people whose truth is known</h2><p class="hs-eval-facts">'
        f"{' · '.join(escape(f) for f in facts)}</p>{table(main, columns, metrics)}{folded}"
        f"{sentences(notes)}</section>"
    )


def gap_section(results: Sequence[Result], metrics: dict[str, Metric]) -> str:
    """Whose the gap is: what the truth of each part would add."""
    figures = []
    for result in results:
        for system, gaps in result.gaps.items():
            for name, shares in gaps.items():
                if name in metrics and shares:
                    caption = f"<b>{escape(metrics[name].head)}</b> {escape(system)}{ends(result, system, name)}"
                    chart = gap_chart(metrics[name], shares)
                    figures.append(f"<figure><figcaption>{caption}</figcaption>{chart}</figure>")
    if not figures:
        return ""
    return (
        '<section class="hs-box"><h2>Whose the gap is</h2><p class="hs-help">One truth after the other is put in the '
        "place of what the system estimated; a bar says how much better the number becomes, with its 95 % interval over "
        f'people.</p><div class="hs-eval-gaps">{"".join(figures)}</div></section>'
    )


def worth_section(results: Sequence[Result], metrics: dict[str, Metric]) -> str:
    """What each part of a system is worth: how much worse it is without."""
    figures = [
        f"<figure><figcaption><b>{escape(metrics[name].head)}</b> {escape(system)}</figcaption>"
        f"{gap_chart(metrics[name], rows, LOST, 138)}</figure>"
        for result in results for system, worth in result.worth.items() for name, rows in worth.items()
        if name in metrics and rows
    ]  # fmt: skip
    if not figures:
        return ""
    return (
        '<section class="hs-box"><h2>What each part is worth</h2><p class="hs-help">The system with one part left out at '
        "a time, on the same people; a bar to the right says how much worse the number is without that part, one to the "
        f'left that it is better without, with the 95 % interval over people.</p><div class="hs-eval-gaps">{"".join(figures)}'
        "</div></section>"
    )


def ends(result: Result, system: str, name: str) -> str:
    """': 19.4 as it is, 28.6 with every truth'."""
    own = [c.means[name].mean for c in result.columns if c.system == system and name in c.means]
    if len(own) < 2:
        return ""
    digits = result.metrics[name].digits
    return f": {number(own[0], digits)} as it is, {number(own[-1], digits)} with every truth"


def drawn_columns(columns: Sequence[Column]) -> list[Column]:
    """The columns whose curves are drawn: all variants of one system, but of several systems only each one's own
    result, its first variant."""
    turned = [c for c in columns if c.azimuths]
    first = {c.system: c for c in reversed(turned)}
    return (
        turned
        if len([s for s, c in first.items() if s != c.variant]) == 1
        else [c for c in turned if c in first.values()]
    )


def curves_section(columns: Sequence[Column], metrics: dict[str, Metric]) -> str:
    """PSNR and IoU around the person."""
    turned = drawn_columns(columns)
    figures = []
    for name in CURVES:
        lines = [(c.title, {a: row[name] for a, row in c.azimuths.items() if name in row}) for c in turned]
        if name in metrics and any(points for _, points in lines):
            caption = f"<figcaption><b>{escape(metrics[name].head)}</b></figcaption>"
            figures.append(f"<figure>{caption}{curve_chart(metrics[name], lines)}</figure>")
    if not figures:
        return ""
    return (
        '<section class="hs-box"><h2>Around the person</h2><p class="hs-help">Degrees from the photo\'s side; the band '
        f'is the 95 % interval over people.</p><div class="hs-eval-curves">{"".join(figures)}</div>'
        f"{legend([c.title for c in turned])}</section>"
    )


def search_section(result: Result) -> str:
    """Where a system fails worst, after the control."""
    found = result.search
    metric: Metric = found["protocol"]
    first, end = result.span or (0, 0)
    control = (
        f"The control, a fault planted at “{found['planted']}”, was found."
        if found["found"]
        else f"The control, a fault planted at “{found['planted']}”, was NOT found: trust nothing below."
    )
    facts = f"{found['system']}, {found['variant']} · {found['tried']} of people {first} to {end - 1} tried · {made_on(result)}"
    regions = [
        [r["where"], str(r["tried"]), number(r["mean"], metric.digits), number(r["rest"], metric.digits),
         number(r["chance"], 3)] for r in found["regions"]
    ]  # fmt: skip
    heads = ["where it is worse", "tried", f"{metric.head} there", "elsewhere", "chance"]
    worst = [
        [str(w["seed"]), w["error"] or number(w["value"], metric.digits), facts_of(w["facts"]), w["again"]]
        for w in found["worst"]
    ]
    told = (
        grid(heads, regions, "Regions in which it fails")
        if regions
        else '<p class="hs-help">No region is worse than chance explains.</p>'
    )
    lines = dict.fromkeys(command(result))
    return (
        f'<section class="hs-box"><h2>Where it fails</h2><p class="hs-eval-facts">{escape(facts)}</p>'
        f'<p class="{"hs-help" if found["found"] else "hs-message"}">{escape(control)}</p>{told}'
        f"<details><summary>The worst {len(worst)}</summary>"
        f"{grid(['person', metric.head, 'who', 'again'], worst, 'The worst people')}</details>{command_box(lines)}</section>"
    )


def photos_section(result: Result) -> str:
    """Scores on photos without truth."""
    parts = [f'<p class="hs-eval-facts">{escape(made_on(result))}</p>'] if made_on(result) else []
    for system, rows in result.photos.items():
        names = [n for n in dict.fromkeys(n for row in rows.values() for n in row) if n != "error"]
        heads = [
            "photo",
            *(result.metrics[n].head if n in result.metrics else SHORT.get(n, in_words(n)) for n in names),
        ]
        digits = {n: digits_of(result.metrics.get(n), [row[n] for row in rows.values() if n in row]) for n in names}
        lines = [
            [photo, *(shown(row.get(n), digits[n]) for n in names)]
            for photo, row in rows.items() if "error" not in row
        ]  # fmt: skip
        parts += [f"<h3>{escape(system)}</h3>" if system else "", grid(heads, lines, "Scores on photos")]
        parts.append(sentences([f"{photo}: {row['error']}" for photo, row in rows.items() if "error" in row]))
    if result.schema == PHOTOS:
        parts.append(command_box(command(result)))
    return f'<section class="hs-box"><h2>Real photos, without truth</h2>{"".join(parts)}</section>'


def command_section(results: Sequence[Result]) -> str:
    """What to type to get the same table."""
    lines = list(dict.fromkeys(line for r in results for line in command(r)))
    commits = dict.fromkeys(str(r.machine.get("commit", "")) for r in results)
    words = [
        f"At commit {c.rstrip('+')[:10]}{', with files changed since' if c.endswith('+') else ''}."
        for c in commits
        if c
    ]
    return (
        '<section class="hs-box"><h2>The same again</h2><p class="hs-help">Minutes of work for a processor, so the page '
        f"only says how. {escape(' '.join(words))}</p>{command_box(lines)}</section>"
    )


def facts_of(facts: dict[str, Any]) -> str:
    """A person's facts in a line: the texts, the garments, the azimuth."""
    words = [str(facts[k]) for k in ("sex", "family", "pose") if isinstance(facts.get(k), str)]
    words += [", ".join(v) for v in facts.values() if isinstance(v, list) and v]
    words += [f"{k} {v:.0f}" for k, v in facts.items() if k.startswith("azimuth") and isinstance(v, (int, float))]
    return "; ".join(words)[:240]
