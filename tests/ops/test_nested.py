"""Nested clusters: cells inside cells, the printed errors of the tree, levels that follow from finer ones."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt.ops.clustering import optimal_clusters
from kompakt.ops.nested import LARGEST, merged, nested_firsts, nested_levels

# Error of a tree of 2-means on N(0, 1), computed independently; whole numbers add their own rounding to the last ones.
TREE_ERRORS = {1: 0.3630, 2: 0.1180, 3: 0.0350, 4: 0.0099, 5: 0.0027}
STEP = 4.6 / LARGEST


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    x = np.random.default_rng(0).standard_normal(60_000)
    return np.clip(np.rint(x / STEP), -LARGEST, LARGEST).astype(np.int64)


def histogram(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.unique(whole, return_counts=True)


@pytest.mark.parametrize("bits", TREE_ERRORS)
def test_errors_are_those_of_a_tree_of_two_means(whole, bits):
    values, counts = histogram(whole)
    code = np.searchsorted(nested_firsts(values, counts, bits), whole, side="right")
    error = np.square((nested_levels(values, counts, bits)[code] - whole) * STEP).mean() + STEP**2 / 12
    assert error == pytest.approx(TREE_ERRORS[bits], rel=0.08)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_the_price_of_nesting_is_small(whole, bits):
    values, counts = histogram(whole)
    levels = nested_levels(values, counts, bits)
    best = optimal_clusters(values, 2**bits, counts)

    def error(centres: np.ndarray) -> float:
        return float((np.square(values[:, None] - centres).min(1) * counts).sum())

    assert error(best) <= error(levels) < 1.1 * error(best)


@pytest.mark.parametrize("seed", range(4))
def test_codes_of_fewer_bits_are_the_first_bits(seed):
    rng = np.random.default_rng(seed)
    values, counts = histogram(rng.integers(-LARGEST, LARGEST + 1, (3, 20, 400, 5)[seed]))
    firsts = {bits: nested_firsts(values, counts, bits) for bits in range(1, 9)}
    for bits in range(1, 8):
        assert np.array_equal(firsts[bits], firsts[bits + 1][1::2])
        fine, coarse = (np.searchsorted(firsts[b], values, side="right") for b in (bits + 1, bits))
        assert np.array_equal(fine >> 1, coarse)
        levels = nested_levels(values, counts, bits + 1)
        assert np.array_equal(
            merged(levels, np.bincount(fine, counts, 2 ** (bits + 1))), nested_levels(values, counts, bits)
        )


def test_cells_that_cannot_be_split_are_harmless():
    one = np.array([5])
    assert (nested_levels(one, np.array([9]), 3) == 5).all()
    values, counts = np.array([-3, 7]), np.array([2, 1])
    codes = np.searchsorted(nested_firsts(values, counts, 4), values, side="right")
    assert nested_levels(values, counts, 4)[codes].tolist() == [-3, 7]
    assert (np.diff(nested_levels(values, counts, 4)) >= 0).all()


def test_merging_weighs_and_rounds_half_to_even():
    levels, counts = np.array([-4, -1, 2, 5, 6, 9]), np.array([1, 2, 1, 1, 0, 0])
    assert merged(levels, counts).tolist() == [-2, 4, 6]
