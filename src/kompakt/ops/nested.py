"""Nested clusters on a line: every cell of one more bit lies inside a cell of one bit less."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .clustering import optimal_clusters

DEPTH = 8
LARGEST = 127


def nested_firsts(values: np.ndarray, counts: np.ndarray, bits: int) -> np.ndarray:
    """Where the cells of `bits` bits begin: the smallest whole number of every cell but the first.

    The root holds everything; every cell is split in two by the exact 2-means of its values, at the middle of the two
    means. A cell of one value stays whole: its right half is empty and begins where the next cell does.

    Args:
        values: (N,) distinct whole numbers, ascending. counts: (N,) how often each occurs, > 0. bits: 1..8.
    Returns: (2^bits - 1,) int64, ascending; the tree of fewer bits is every second number of it.
    Source: Wang, Liang, "Scalable Compression of Deep Neural Networks", ACM MM 2016, whose abstract names hierarchical
    quantization; the tree is ours.
    """
    edges = np.array([0, len(values)])
    for _ in range(bits):
        middles = [_split(values, counts, *ends) for ends in pairwise(edges.tolist())]
        edges = np.stack([edges[:-1], middles], 1).reshape(-1)
        edges = np.append(edges, len(values))
    return np.asarray(np.append(values, LARGEST + 1)[edges[1:-1]])


def _split(values: np.ndarray, counts: np.ndarray, begin: int, end: int) -> int:
    """Index at which the right half of values[begin:end] begins; `end` where there is nothing to split."""
    if end - begin < 2:
        return end
    low, high = optimal_clusters(values[begin:end], 2, counts[begin:end])
    return begin + int(np.searchsorted(values[begin:end], (low + high) / 2, side="right"))


def merged(levels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Levels of one bit less: the mean of every pair of levels, weighted by their counts and rounded half to even.

    Args: levels: (L,) whole, ascending. counts: (L,) >= 0. Returns: (L / 2,); a pair without counts keeps its first.
    """
    pairs, n = levels.reshape(-1, 2).astype(np.int64), counts.reshape(-1, 2).astype(np.int64)
    total = n.sum(1)
    means = (pairs * n).sum(1) / np.maximum(total, 1)
    return np.where(total > 0, np.rint(means), pairs[:, 0]).astype(np.int64)


def nested_levels(values: np.ndarray, counts: np.ndarray, bits: int) -> np.ndarray:
    """Levels of the cells of `bits` bits, made by merging those of 8 bits step by step: (2^bits,) int64, ascending.

    So a file of more bits holds everything that is needed to make the one of fewer.

    Args: as `nested_firsts`.
    """
    cell = np.searchsorted(nested_firsts(values, counts, DEPTH), values, side="right")
    number = np.bincount(cell, counts, 2**DEPTH)
    sums = np.bincount(cell, counts * values, 2**DEPTH)
    levels = np.where(number > 0, np.rint(sums / np.maximum(number, 1)), 0).astype(np.int64)
    for empty in np.flatnonzero(number == 0):  # ascending: as the level before; nothing is there, but levels ascend
        levels[empty] = levels[empty - 1] if empty else values[0]
    for _ in range(DEPTH - bits):
        levels, number = merged(levels, number), number.reshape(-1, 2).sum(1)
    return levels
