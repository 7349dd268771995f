"""Integer thresholds that stand for a chain of float operations (affine, clamp, quantize or encode).

They are found by bisection over the chain's own float32 arithmetic, so they are equal to executing it, not close to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .coding import Coding
from .values import Lazy

NEVER, ALWAYS = np.iinfo(np.int32).max, np.iinfo(np.int32).min

Index = Callable[[np.ndarray], np.ndarray]


def threshold_table(source: Lazy, coding: Coding) -> tuple[np.ndarray, np.ndarray]:
    """Attributes of the `threshold` node for an accumulator's map, clamp and coding.

    Returns: thresholds int32 (C, levels - 1), directions int8 (C,).
    """
    m, b = source.affine32

    def index(x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # infinities saturate
            y = x.astype(np.float32) * m[:, None] + b[:, None]
        if source.clamp is not None:
            y = np.clip(y, np.float32(source.clamp[0]), np.float32(source.clamp[1]))
        return coding.index(y)

    directions = np.where(m < 0, -1, 1).astype(np.int8)
    return thresholds_of(index, directions, coding.levels, source.bound), directions


def thresholds_of(index: Index, directions: np.ndarray, levels: int, bound: int) -> np.ndarray:
    """Thresholds T such that index(x) = #{k: x >= T[c,k]} (direction 1) or #{k: x <= T[c,k]} (direction -1).

    Args:
        index: maps accumulators (C, n) int64 to level indices (C, n); monotone along x in the channel's direction.
        directions: +1 or -1 per channel, (C,).
        levels: number of levels.
        bound: accumulators lie in [-bound, bound].
    Returns: int32 (C, levels - 1).
    """
    channels = len(directions)
    wanted = np.broadcast_to(np.arange(1, levels), (channels, levels - 1))
    sign = directions.astype(np.int64)[:, None]
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
    return np.asarray(np.clip(threshold, ALWAYS, NEVER).astype(np.int32))


def recode_thresholds(source: Coding, target: Coding) -> list[int]:
    """Integer thresholds of the `recode` node: levels of `source` at which the index of `target` steps up."""
    level = np.unique(source.encoding.table())
    index = target.index(level.astype(np.float32) * source.scale)
    first = np.searchsorted(index, np.arange(1, target.levels))
    return [int(level[i]) if i < len(level) else int(level[-1]) + 1 for i in first]
