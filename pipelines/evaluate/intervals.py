"""Means over people with a 95 % interval (percentile bootstrap over subjects, seeded), and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pipelines.evaluate.oracle import CHAIN, SHARES
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
            a, b = ({c.seed: c for c in variants[name] if not c.error} for name in (before, after))
            pairs = [
                b[seed].numbers[metric] - a[seed].numbers[metric]
                for seed in a
                if seed in b and metric in a[seed].numbers and metric in b[seed].numbers
            ]
            if pairs:
                sign = 1.0 if PROTOCOLS[metric].better == "higher" else -1.0
                label = " and ".join(SHARES[CHAIN.index(before) : CHAIN.index(after)])
                row[label] = summary([sign * p for p in pairs])
        if row:
            table[metric] = row
    return table
