"""Optimal clustering against exhaustive search and against Lloyd's algorithm."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kompakt.ops.clustering import optimal_clusters


def error(x: np.ndarray, centres: np.ndarray, weight: np.ndarray | None = None) -> float:
    return float((np.min((x[:, None] - centres) ** 2, axis=1) * (1 if weight is None else weight)).sum())


def exhaustive(x: np.ndarray, count: int, weight: np.ndarray) -> float:
    order = np.argsort(x)
    x, weight = x[order], weight[order]
    best = np.inf
    for cuts in itertools.combinations(range(1, len(x)), min(count, len(x)) - 1):
        total = 0.0
        for part, w in zip(np.split(x, cuts), np.split(weight, cuts), strict=True):
            if w.sum():
                total += float((w * (part - np.average(part, weights=w)) ** 2).sum())
        best = min(best, total)
    return best


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 11), count=st.integers(1, 6), even=st.booleans())
def test_no_partition_is_better(seed, size, count, even):
    """Card "DP-Net", test 1; with weights, ties and values far from zero."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=size), 1) + rng.choice([0.0, 1000.0])
    weight = np.ones(size) if even else rng.integers(0, 4, size).astype(float)
    weight[0] = 1.0
    centres = optimal_clusters(x, count, None if even else weight)
    assert len(centres) <= count
    assert error(x, centres, weight) <= exhaustive(x, count, weight) + 1e-9


@pytest.mark.parametrize("count", [2, 4, 16])
def test_lloyd_with_many_starts_is_never_better(count):
    rng = np.random.default_rng(count)
    x = rng.standard_t(3, 3000)
    found = error(x, optimal_clusters(x, count))
    for _ in range(20):
        centres = rng.choice(x, count, replace=False)
        for _ in range(60):
            owner = np.abs(x[:, None] - centres).argmin(1)
            sums, sizes = np.bincount(owner, x, count), np.bincount(owner, minlength=count)
            centres = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres)
        assert found <= error(x, centres) * (1 + 1e-9)


def test_centres_are_means_of_their_own_values_and_ascend():
    x = np.random.default_rng(0).normal(size=500)
    centres = optimal_clusters(x, 8)
    assert (np.diff(centres) > 0).all()
    owner = np.abs(x[:, None] - centres).argmin(1)
    np.testing.assert_allclose([x[owner == k].mean() for k in range(8)], centres, rtol=1e-9)


def test_as_many_centres_as_distinct_values():
    np.testing.assert_array_equal(optimal_clusters(np.array([3.0, 1.0, 3.0, 1.0]), 4), [1.0, 3.0])


def test_a_repeated_value_is_a_weighted_one():
    rng = np.random.default_rng(5)
    x, times = rng.normal(size=60), rng.integers(1, 5, 60)
    np.testing.assert_allclose(optimal_clusters(np.repeat(x, times), 5), optimal_clusters(x, 5, times), rtol=1e-12)
