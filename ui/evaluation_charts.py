"""Charts of an evaluation as plain SVG: what each truth would add, and curves around the person.

Colours are classes of the style sheet, so that both themes fit; every chart says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from ui.evaluation_result import Mean, Metric

WIDE, HIGH = 460, 260  # of the curves' drawing
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 40
BAR, BAR_WIDE, BAR_LEFT, BAR_RIGHT = 26, 360, 66, 62
DASHES = ("", "7 4", "2 3", "9 3 2 3", "4 4")  # a curve is told by its dashes as well as by its colour
HUES = 8  # hs-hue-0 ... hs-hue-7


def number(value: float, digits: int) -> str:
    """With a true minus sign, and never '-0'."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text.replace("-", "−")


def gap_chart(
    metric: Metric, shares: Mapping[str, Mean], meaning: str = "gained by the truth of each part", left: int = BAR_LEFT
) -> str:
    """Bars of what each truth adds to a metric, with the 95 % interval; towards the right is better. meaning: the same
    in words. left: room for the bars' names."""
    reach = [v for m in shares.values() for v in (m.mean, m.low, m.high) if v is not None]
    low, high = min(0.0, *reach), max(0.0, *reach)
    span = (high - low) or 1.0
    wide = BAR_WIDE + left - BAR_LEFT
    tall = BAR * len(shares) + 6

    def x(value: float) -> float:
        return left + (value - low) / span * (wide - left - BAR_RIGHT)

    parts = []
    for i, (share, mean) in enumerate(shares.items()):
        top = 4 + BAR * i
        middle = top + BAR / 2 - 2
        begin, end = sorted((x(0.0), x(mean.mean)))
        parts.append(f'<text class="hs-tick" x="{left - 8}" y="{middle + 4:.1f}" text-anchor="end">'
                     f"{escape(share)}</text>")  # fmt: skip
        parts.append(f'<rect class="hs-bar" x="{begin:.1f}" y="{top}" width="{max(end - begin, 0.8):.1f}" '
                     f'height="{BAR - 8}" rx="2"/>')  # fmt: skip
        far = x(mean.mean)
        if mean.low is not None and mean.high is not None and mean.high > mean.low:
            a, b = x(mean.low), x(mean.high)
            parts.append(f'<path class="hs-whisker" d="M{a:.1f} {middle:.1f}H{b:.1f}M{a:.1f} {middle - 4:.1f}v8'
                         f'M{b:.1f} {middle - 4:.1f}v8"/>')  # fmt: skip
            far = max(far, b)
        sign = "+" if mean.mean > 0 and number(mean.mean, metric.digits).strip("0.") else ""
        parts.append(f'<text class="hs-value" x="{max(far, x(0.0)) + 7:.1f}" y="{middle + 4:.1f}">'
                     f"{sign}{number(mean.mean, metric.digits)}</text>")  # fmt: skip
    parts.append(f'<path class="hs-axis" d="M{x(0.0):.1f} 0V{tall}"/>')
    told = "; ".join(f"{s} {number(m.mean, metric.digits)}" for s, m in shares.items())
    return _svg(wide, tall, f"{metric.title}: {meaning}, {told}", parts)


def curve_chart(metric: Metric, lines: Sequence[tuple[str, Mapping[float, Mean]]]) -> str:
    """A metric over the degrees from the photo, one curve a column, its 95 % interval as a band."""
    shown = [(k, title, sorted(points.items())) for k, (title, points) in enumerate(lines) if has_shape(points)]
    values = [v for _, _, points in shown for _, m in points for v in (m.mean, m.low, m.high) if v is not None]
    if not values:
        return ""
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]

    def x(angle: float) -> float:
        return LEFT + angle / 360.0 * (WIDE - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HIGH - TOP - BOTTOM)

    digits = next(d for d in range(9) if d == 8 or all(abs(t - round(t, d)) < 1e-9 for t in ticks))
    parts = []
    for tick in ticks:
        parts.append(f'<path class="hs-grid" d="M{LEFT} {y(tick):.1f}H{WIDE - RIGHT}"/><text class="hs-tick" '
                     f'x="{LEFT - 7}" y="{y(tick) + 4:.1f}" text-anchor="end">{number(tick, digits)}</text>')  # fmt: skip
    for angle, words in ((0, "0°, the photo"), (90, "90°"), (180, "180°, far side"), (270, "270°"), (360, "360°")):
        side = {0: "start", 360: "end"}.get(angle, "middle")
        parts.append(f'<path class="hs-grid" d="M{x(angle):.1f} {HIGH - BOTTOM}v5"/><text class="hs-tick" '
                     f'x="{x(angle):.1f}" y="{HIGH - BOTTOM + 20}" text-anchor="{side}">{words}</text>')  # fmt: skip
    for k, _, points in shown:
        around = closed(points)
        band = [(a, m) for a, m in around if m.low is not None and m.high is not None]
        if len(band) > 1:
            upper = " ".join(f"{x(a):.1f},{y(m.high or 0.0):.1f}" for a, m in band)
            lower = " ".join(f"{x(a):.1f},{y(m.low or 0.0):.1f}" for a, m in reversed(band))
            parts.append(f'<polygon class="hs-band {hue(k)}" points="{upper} {lower}"/>')
        path = " ".join(f"{x(a):.1f},{y(m.mean):.1f}" for a, m in around)
        parts.append(f'<polyline class="hs-curve {hue(k)}" stroke-dasharray="{dash(k)}" points="{path}"/>')
    told = "; ".join(
        f"{title}: {number(points[0][1].mean, metric.digits)} at {points[0][0]:g} degrees, lowest "
        f"{number(min(m.mean for _, m in points), metric.digits)}" for _, title, points in shown
    )  # fmt: skip
    return _svg(WIDE, HIGH, f"{metric.head} over degrees from the photo. {told}", parts)


def has_shape(points: Mapping[float, Mean]) -> bool:
    """Whether there is something to draw: the IoU of a blank picture is 0 from every side and would only flatten the
    others."""
    return any(m.mean != 0.0 for m in points.values())


def legend(titles: Sequence[str]) -> str:
    """The curves' names, each with a piece of its line."""
    items = []
    for k, title in enumerate(titles):
        items.append(f'<li><svg viewBox="0 0 30 10" width="30" height="10" aria-hidden="true"><path class="hs-curve '
                     f'{hue(k)}" stroke-dasharray="{dash(k)}" d="M1 5H29"/></svg>{escape(title)}</li>')  # fmt: skip
    return f'<ul class="hs-curve-names">{"".join(items)}</ul>'


def closed(points: Sequence[tuple[float, Mean]]) -> list[tuple[float, Mean]]:
    """The angles in 0..360, and the first one again at the end of the circle where it is 0."""
    around = sorted((a % 360.0, m) for a, m in points)
    return [*around, (360.0, around[0][1])] if around[0][0] == 0.0 else around


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that hold low..high, about `count` of them."""
    span = max(high - low, 1e-6 * max(1.0, abs(high)))
    raw = span / (count - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if power * m >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * k for k in range(first, max(last, first + 1) + 1)]


def hue(k: int) -> str:
    """Class of the k-th curve's colour."""
    return f"hs-hue-{k % HUES}"


def dash(k: int) -> str:
    """Dashes of the k-th curve; the first is whole."""
    return DASHES[k % len(DASHES)]


def _svg(wide: float, high: float, words: str, parts: Sequence[str]) -> str:
    label = escape(words, quote=True)
    return f'<svg viewBox="0 0 {wide:g} {high:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
