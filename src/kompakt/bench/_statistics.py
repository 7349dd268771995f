"""Ratios of paired times: the median of the pairs, its 95 % interval, and the band in which the pairs lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

LEAST_PAIRS = 6  # fewer pairs allow no 95 % interval of a median: 2 * 0.5**5 > 0.05


@dataclass(frozen=True)
class Ratio:
    """Time of the other divided by time of ours, over paired rounds; above 1 ours is faster.

    Attributes:
        median: median of the paired ratios.
        band: 10th and 90th percentile of the paired ratios.
        interval: 95 % confidence interval of the median.
    """

    median: float
    band: tuple[float, float]
    interval: tuple[float, float]


def paired_ratio(theirs: np.ndarray, ours: np.ndarray) -> Ratio:
    """Ratio of two series whose i-th entries were measured next to each other.

    Args:
        theirs, ours: (rounds,) times in one unit, > 0.
    Raises: ValueError if the lengths differ, there are fewer than six pairs, or a time is not positive.
    """
    theirs, ours = np.asarray(theirs, np.float64), np.asarray(ours, np.float64)
    if theirs.ndim != 1 or theirs.shape != ours.shape or len(theirs) < LEAST_PAIRS:
        raise ValueError(f"expected two series of one length >= {LEAST_PAIRS}, got {theirs.shape} and {ours.shape}")
    if not (np.all(theirs > 0) and np.all(ours > 0)):
        raise ValueError("expected positive times, got a zero or negative one; measure longer slices")
    ratios = theirs / ours
    low, high = np.percentile(ratios, (10, 90))
    return Ratio(float(np.median(ratios)), (float(low), float(high)), median_interval(ratios))


def median_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the median from order statistics: no assumption on the distribution, nothing random.

    The number of values below the median is binomial with p = 1/2; the k-th smallest and k-th largest values enclose
    the median with probability 1 - 2 * P(B < k). Where too few values are given, the whole range is returned.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    count = len(ordered)
    rank, tail = 0, 0.5**count
    while 2 * tail <= 1 - confidence:
        rank += 1
        tail += math.comb(count, rank) * 0.5**count
    rank = max(rank, 1)
    return float(ordered[rank - 1]), float(ordered[count - rank])


def snr_db(reference: np.ndarray, output: np.ndarray) -> float:
    """Signal-to-noise ratio in dB of `output` against `reference`, same shape; infinity where they are equal."""
    reference, output = np.asarray(reference, np.float64), np.asarray(output, np.float64)
    noise = float(np.sum((reference - output) ** 2))
    signal = float(np.sum(reference**2))
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
