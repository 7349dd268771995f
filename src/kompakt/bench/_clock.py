"""Timing two runnables in alternation: neighbours in time share disturbances, and their ratio does not see them."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

Runner = Callable[[np.ndarray], np.ndarray]

SAMPLE_NS = 200_000  # a sample lasts at least this long, so that reading the clocks (1 us) does not count
WARM_UP_S = 0.05
SETTLE_S = 0.003  # after a switch: lets the other engine's workers stop spinning before the clock runs


class Times:
    """Times per call in ms, on two clocks: "cpu" (of the process, all its threads) and "wall"."""

    def __init__(self) -> None:
        self._rounds: dict[str, list[np.ndarray]] = {"cpu": [], "wall": []}

    def add_round(self, samples: np.ndarray) -> None:
        """`samples`: (2, count) ms per call, cpu and wall."""
        self._rounds["cpu"].append(samples[0])
        self._rounds["wall"].append(samples[1])

    def samples(self, clock: str) -> np.ndarray:
        """All samples of all rounds."""
        return np.concatenate(self._rounds[clock])

    def rounds(self, clock: str) -> np.ndarray:
        """(rounds,) the median of each round."""
        return np.array([np.median(samples) for samples in self._rounds[clock]])


def alternate(ours: Runner, theirs: Runner, x: np.ndarray, rounds: int, seconds: float) -> tuple[Times, Times]:
    """Time both on `x` in `rounds` rounds: a slice of one, a slice of the other, the order changing every round.

    Args:
        seconds: measuring time of all slices together.
    Returns: times of ours, times of theirs; their i-th rounds were next to each other.
    """
    slice_s = seconds / (2 * rounds)
    sides = [(ours, calls_per_sample(ours, x), Times()), (theirs, calls_per_sample(theirs, x), Times())]
    for number in range(rounds):
        for run, calls, times in sides if number % 2 == 0 else sides[::-1]:
            time.sleep(SETTLE_S)
            times.add_round(_slice(run, x, calls, slice_s))
    return sides[0][2], sides[1][2]


def calls_per_sample(run: Runner, x: np.ndarray) -> int:
    """Warm up, and return how many calls fill a sample."""
    fastest = None
    end = time.perf_counter() + WARM_UP_S
    while fastest is None or time.perf_counter() < end:
        start = time.perf_counter_ns()
        run(x)
        taken = time.perf_counter_ns() - start
        fastest = taken if fastest is None else min(fastest, taken)
    return max(1, -(-SAMPLE_NS // max(fastest, 1)))


def _slice(run: Runner, x: np.ndarray, calls: int, seconds: float) -> np.ndarray:
    """(2, samples) cpu and wall ms per call, until `seconds` are over; the first sample warms up and is dropped."""
    samples = [_sample(run, x, calls)]
    end = time.perf_counter() + seconds
    while len(samples) < 2 or time.perf_counter() < end:
        samples.append(_sample(run, x, calls))
    return np.array(samples[1:]).T


def _sample(run: Runner, x: np.ndarray, calls: int) -> tuple[float, float]:
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    for _ in range(calls):
        run(x)
    wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
    return cpu / calls * 1e-6, wall / calls * 1e-6
