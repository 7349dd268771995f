"""Integer thresholds of a monotone chain (affine, clamp, quantize) on an accumulator, found by bisection over its own arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

NEVER, ALWAYS = np.iinfo(np.int32).max, np.iinfo(np.int32).min

Index = Callable[[np.ndarray], np.ndarray]


def thresholds_of(index: Index, direction: np.ndarray, levels: int, bound: int) -> np.ndarray:
    """Thresholds T, int32 (C, levels - 1), such that index(x) = #{k: x >= T[c,k]} (direction 1) or #{k: x <= T[c,k]} (direction -1).

    Args:
        index: maps accumulators (C, n) int64 to level indices (C, n); monotone along x in the channel's direction.
        direction: +1 or -1 per channel, (C,). levels: number of levels. bound: accumulators lie in [-bound, bound].
    """
    channels = len(direction)
    wanted = np.broadcast_to(np.arange(1, levels), (channels, levels - 1))
    sign = direction.astype(np.int64)[:, None]
    # In z = sign * x every channel rises: find the smallest z in [-bound, bound + 1] with index >= wanted.
    low = np.full((channels, levels - 1), -bound, np.int64)
    high = np.full((channels, levels - 1), bound + 1, np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        reached = index(sign * np.minimum(middle, bound)) >= wanted
        reached &= middle <= bound
        high = np.where(reached, middle, high)
        low = np.where(reached, low, np.minimum(middle + 1, high))
    threshold = sign * low
    threshold = np.where(low > bound, np.where(sign > 0, NEVER, ALWAYS), threshold)
    threshold = np.where(low == -bound, np.where(sign > 0, ALWAYS, NEVER), threshold)
    return threshold.astype(np.int32)
