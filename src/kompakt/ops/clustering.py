"""Optimal clustering of numbers on a line, by dynamic programming."""

from __future__ import annotations

import numpy as np


def optimal_clusters(x: np.ndarray, count: int, weight: np.ndarray | None = None) -> np.ndarray:
    """The centres that minimise the (weighted) sum of squared distances of x to the nearest centre: the exact optimum.

        cost(i, j) = Q_j - Q_i - (P_j - P_i)² / (W_j - W_i),     P, Q, W: prefix sums of w·x, w·x², w, x sorted
        D_k(j) = min over i of D_{k-1}(i) + cost(i, j)

    The best i grows with j, so each D_k takes O(N log N) by divide and conquer; all midpoints of one depth are one
    vector operation.

    Args:
        x: (N,) finite, N >= 1. count: of centres, >= 1. weight: (N,) >= 0 with a positive sum, default all 1.
    Returns: centres ascending, float64, as many as `count` or as there are distinct values.
    Source: Yang et al., "DP-Net", arXiv 2003.09615; the recurrence is Wu's and Rokne's.
    """
    values, weights = _distinct(np.asarray(x, np.float64).ravel(), weight)
    if len(values) <= count:
        return values
    middle = np.average(values, weights=weights)  # prefix sums of squares cancel badly far from zero
    sums = _Sums(values - middle, weights)
    best = sums.cost(np.zeros(len(values) + 1, np.int64), np.arange(len(values) + 1))
    splits = []
    for _ in range(count - 1):
        best, split = _next_row(best, sums)
        splits.append(split)
    ends = [len(values)]
    for split in reversed(splits):
        ends.append(int(split[ends[-1]]))
    edges = np.array([0, *reversed(ends)])
    return np.unique(sums.mean(edges[:-1], edges[1:])[edges[1:] > edges[:-1]] + middle)


def _distinct(x: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct values that have a weight, and the sums of their weights."""
    values, inverse = np.unique(x, return_inverse=True)
    weights = np.bincount(inverse, None if weight is None else np.asarray(weight, np.float64).ravel()).astype(float)
    return values[weights > 0], weights[weights > 0]


class _Sums:
    """Prefix sums over sorted values; `i`, `j` bound the half-open range i..j."""

    def __init__(self, x: np.ndarray, weight: np.ndarray) -> None:
        def prefix(y: np.ndarray) -> np.ndarray:
            return np.concatenate([[0.0], np.cumsum(y)])

        self.weight, self.first, self.second = prefix(weight), prefix(weight * x), prefix(weight * x * x)

    def cost(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Squared error of i..j around its mean; 0 for an empty range."""
        weight = np.maximum(self.weight[j] - self.weight[i], 1e-300)
        inside = self.second[j] - self.second[i] - (self.first[j] - self.first[i]) ** 2 / weight
        return np.where(j > i, np.maximum(inside, 0), 0.0)

    def mean(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Weighted mean of i..j, where it is not empty."""
        return np.asarray((self.first[j] - self.first[i]) / np.maximum(self.weight[j] - self.weight[i], 1e-300))


def _next_row(before: np.ndarray, sums: _Sums) -> tuple[np.ndarray, np.ndarray]:
    """D_k and its split points from D_{k-1}; both (N + 1,)."""
    size = len(before)
    row, split = np.zeros(size), np.zeros(size, np.int64)
    lo, hi = np.array([0]), np.array([size - 1])  # ranges of j still to be done, and where their best i may lie
    first, last = np.array([0]), np.array([size - 1])
    while len(lo):
        mid = (lo + hi) // 2
        stop = np.minimum(last, mid)
        lengths = stop - first + 1
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        i = np.arange(lengths.sum()) - np.repeat(starts - first, lengths)
        total = before[i] + sums.cost(i, np.repeat(mid, lengths))
        row[mid] = np.minimum.reduceat(total, starts)
        is_best = np.flatnonzero(total <= np.repeat(row[mid], lengths))
        owner = np.searchsorted(starts, is_best, side="right") - 1
        split[mid[owner[::-1]]] = i[is_best[::-1]]  # the first of equals
        at = split[mid]
        lo, hi, first, last = (
            np.concatenate([lo, mid + 1]), np.concatenate([mid - 1, hi]),
            np.concatenate([first, at]), np.concatenate([at, last]),
        )  # fmt: skip
        alive = lo <= hi
        lo, hi, first, last = lo[alive], hi[alive], first[alive], last[alive]
    return row, split
