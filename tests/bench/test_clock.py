"""Alternation and binding to cores, checked by what they do, never by how long it takes."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from kompakt.bench._clock import alternate
from kompakt.bench._cores import pinned, quiet_cores

X = np.zeros((1, 2), np.float32)


class Recorder:
    """A runner that notes its name at every call."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.calls.append(self.name)
        return x


def test_rounds_alternate_and_change_their_order() -> None:
    calls: list[str] = []
    ours, theirs = alternate(Recorder("a", calls), Recorder("b", calls), X, rounds=6, seconds=0.01)
    turns = [name for name, before in zip(calls, [None, *calls], strict=False) if name != before]
    # Warm-up of both, then ab ba ab ba ab ba: neighbours of the same name melt into one turn.
    assert turns == ["a", "b", "a", "b", "a", "b", "a", "b", "a"]
    for times in (ours, theirs):
        assert times.rounds("cpu").shape == times.rounds("wall").shape == (6,)
        assert len(times.samples("wall")) >= 6
        assert (times.samples("wall") > 0).all()


def test_a_slow_runner_still_gives_one_sample_per_round() -> None:
    calls: list[str] = []
    slow = Recorder("a", calls)
    _, theirs = alternate(slow, slow, X, rounds=6, seconds=1e-9)
    assert len(theirs.samples("cpu")) == 6


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind threads to cores")
def test_all_threads_are_bound_and_freed() -> None:
    before = os.sched_getaffinity(0)
    stop = threading.Event()
    worker = threading.Thread(target=stop.wait)
    worker.start()
    try:
        with pinned(1) as cores:
            assert len(cores) == 1
            assert os.sched_getaffinity(0) == os.sched_getaffinity(worker.native_id or 0) == set(cores)
        assert os.sched_getaffinity(0) == os.sched_getaffinity(worker.native_id or 0) == before
    finally:
        stop.set()
        worker.join()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind threads to cores")
def test_binding_ends_with_an_error_too() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(RuntimeError, match="stop"), pinned(1):
        raise RuntimeError("stop")
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="core loads are read from /proc/stat")
def test_quiet_cores_are_among_the_allowed() -> None:
    allowed = os.sched_getaffinity(0)
    assert set(quiet_cores(allowed, 1)) <= allowed
    assert set(quiet_cores(allowed, len(allowed))) == allowed
