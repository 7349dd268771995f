"""Ratios of pairs: exact on constructed series, order-free, and honest about how little few pairs say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kompakt.bench._statistics import median_interval, paired_ratio, snr_db

times = st.lists(st.floats(0.01, 100), min_size=6, max_size=40)


@given(times)
def test_identical_series_give_one(values: list[float]) -> None:
    ratio = paired_ratio(np.array(values), np.array(values))
    assert (ratio.median, ratio.band, ratio.interval) == (1.0, (1.0, 1.0), (1.0, 1.0))


@given(times, st.floats(0.1, 10))
def test_a_constant_factor_is_found_however_much_the_machine_wobbles(values: list[float], factor: float) -> None:
    ratio = paired_ratio(factor * np.array(values), np.array(values))
    np.testing.assert_allclose([ratio.median, *ratio.band, *ratio.interval], factor, rtol=1e-12)


@given(times, st.randoms())
def test_order_of_rounds_does_not_matter(values: list[float], random: object) -> None:
    theirs, ours = np.array(values), np.array(values[::-1])
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert paired_ratio(theirs[order], ours[order]) == paired_ratio(theirs, ours)


def test_median_band_and_interval_of_known_ratios() -> None:
    ratio = paired_ratio(np.arange(1.0, 12.0), np.ones(11))
    assert ratio.median == 6
    assert ratio.band == (2, 10)
    # Binomial(11, 1/2): P(B <= 1) = 12 / 2048 and P(B <= 2) = 67 / 2048, so the 2nd and 10th value enclose 98.8 %.
    assert ratio.interval == (2, 10)


@pytest.mark.parametrize(("count", "rank"), [(6, 1), (9, 2), (20, 6), (25, 8), (50, 18), (100, 40)])
def test_interval_ranks_are_those_of_the_textbook_table(count: int, rank: int) -> None:
    low, high = median_interval(np.arange(1.0, count + 1))
    assert (low, high) == (rank, count + 1 - rank)


def test_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    samples = rng.exponential(size=(2000, 21))  # skewed, as times are; its median is log 2
    hits = [low <= math.log(2) <= high for low, high in map(median_interval, samples)]
    assert np.mean(hits) >= 0.94


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        ([1.0] * 5, [1.0] * 5, "at least 6|>= 6"),
        ([1.0] * 7, [1.0] * 6, "one length"),
        ([0.0] * 6, [1.0] * 6, "positive times"),
        ([1.0] * 6, [float("nan")] * 6, "positive times"),
    ],
)
def test_series_that_say_nothing_are_refused(theirs: list[float], ours: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_ratio(np.array(theirs), np.array(ours))


def test_snr_of_a_known_error() -> None:
    reference = np.array([3.0, -4.0])
    assert snr_db(reference, reference * 1.01) == pytest.approx(40)
    assert snr_db(reference, reference) == math.inf
    assert snr_db(np.zeros(2), reference) == -math.inf
