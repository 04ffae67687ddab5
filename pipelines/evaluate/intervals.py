"""Means over people with a 95 % interval (percentile bootstrap over subjects, seeded), and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pipelines.evaluate.oracle import CHAIN, ESTIMATED, SHARES
from pipelines.evaluate.protocols import IMAGE_METRICS, PROTOCOLS, RESAMPLE_SEED, RESAMPLES
from pipelines.evaluate.scorecard import Scorecard


def summary(values: Sequence[float]) -> dict[str, Any]:
    """mean, low, high, n of numbers, one per subject. low and high are None for fewer than two subjects."""
    data = np.asarray(values, np.float64)
    if len(data) == 0:
        raise ValueError("A mean of nothing was asked for; leave the metric out.")
    row: dict[str, Any] = {"mean": float(data.mean()), "low": None, "high": None, "n": len(data)}
    if len(data) > 1:
        drawn = np.random.default_rng(RESAMPLE_SEED).integers(0, len(data), (RESAMPLES, len(data)))
        row["low"], row["high"] = (float(v) for v in np.quantile(data[drawn].mean(1), [0.025, 0.975]))
    return row


def summarise(cards: Sequence[Scorecard]) -> dict[str, dict[str, Any]]:
    """{metric: summary} over people, in the protocols' order. A failed run counts as blank white in the metrics of
    pictures (its card holds them) and is left out of the others, whose n says so."""
    table: dict[str, dict[str, Any]] = {}
    for name in PROTOCOLS:
        values = [c.numbers[name] for c in cards if name in c.numbers and (not c.error or name in IMAGE_METRICS)]
        if values:
            table[name] = summary(values)
    return table


def by_azimuth(cards: Sequence[Scorecard]) -> dict[str, dict[str, dict[str, Any]]]:
    """{degrees from the photo: {metric: summary}}."""
    angles = sorted({a for c in cards for a in c.by_azimuth})
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for a in angles:
        rows = [c.by_azimuth[a] for c in cards if a in c.by_azimuth]
        table[str(a)] = {n: summary([r[n] for r in rows if n in r]) for n in rows[0]}
    return table


def gap(
    variants: Mapping[str, Sequence[Scorecard]],
    metrics: Sequence[str] = ("psnr", "psnr_inside", "iou", "chamfer_cm", "head_back_de"),
) -> dict[str, Any]:
    """How much each truth put in adds: paired differences along `oracle.CHAIN`, over people that failed nowhere.

    {metric: {share: summary}}; a positive mean is always an improvement. Empty unless two variants are there.
    """
    there = [name for name in CHAIN if name in variants]
    table: dict[str, Any] = {}
    for metric in metrics:
        row: dict[str, Any] = {}
        for before, after in pairwise(there):
            gained = better_by(metric, variants[before], variants[after])
            if gained:
                label = " and ".join(SHARES[CHAIN.index(before) : CHAIN.index(after)])
                row[label] = summary(gained)
        if row:
            table[metric] = row
    return table


def worth(
    variants: Mapping[str, Sequence[Scorecard]],
    rows: Sequence[str],
    metrics: Sequence[str] = ("psnr", "iou_side", "chamfer_cm", "mpjpe_mm", "holes_pct", "head_back_de"),
) -> dict[str, Any]:
    """How much worse the system is with one part left out: paired differences of the estimated variant to each row of
    an ablation, over people that failed in neither.

    {metric: {row: summary}}; a positive mean says that the part helps. Empty without rows.
    """
    table: dict[str, Any] = {}
    for metric in metrics:
        found = {row: better_by(metric, variants[row], variants[ESTIMATED]) for row in rows if ESTIMATED in variants}
        if any(found.values()):
            table[metric] = {row: summary(values) for row, values in found.items() if values}
    return table


def better_by(metric: str, before: Sequence[Scorecard], after: Sequence[Scorecard]) -> list[float]:
    """By how much each person's number is better in `after`; people that failed, or lack the number, are left out."""
    sign = 1.0 if PROTOCOLS[metric].better == "higher" else -1.0
    a, b = ({c.seed: c.numbers for c in cards if not c.error} for cards in (before, after))
    return [sign * (b[s][metric] - a[s][metric]) for s in a if s in b and metric in a[s] and metric in b[s]]
