"""Several callers, several processes: the same bits, and never a hang."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kompakt.artifact.write import to_bytes
from kompakt.engine import Engine, load, run_reference
from support.programs import random_input, resnet_like_program

PROGRAM = resnet_like_program(21, widths=(8, 16), size=10)
DATA = to_bytes(PROGRAM)
X = random_input(PROGRAM, 0, batch=6)
EXPECTED = run_reference(PROGRAM, X)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_calls_from_many_threads_at_once(threads: int) -> None:
    engine = load(DATA, threads=threads)

    def call(index: int) -> bool:
        first = index % 5
        batch = 1 + index % (6 - first)
        return np.array_equal(engine(X[first : first + batch]), EXPECTED[first : first + batch])

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(call, range(400)))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("threads", [1, 3])
def test_many_calls_from_32_threads(threads: int) -> None:
    engine = load(DATA, threads=threads)
    start = threading.Barrier(32)

    def call(caller: int) -> int:
        """Calls with a wrong result; all callers start together."""
        start.wait()
        wrong = 0
        for index in range(caller, caller + 10_000):
            first = index % 6
            last = first + 1 + index % 7 % (6 - first)
            wrong += not np.array_equal(engine(X[first:last]), EXPECTED[first:last])
        return wrong

    with ThreadPoolExecutor(32) as callers:
        assert sum(callers.map(call, range(32))) == 0


def test_engines_come_and_go_while_others_run() -> None:
    steady = load(DATA, threads=2)
    stop = threading.Event()
    wrong: list[int] = []

    def churn() -> None:
        while not stop.is_set():
            if not np.array_equal(load(DATA, threads=3)(X[:2]), EXPECTED[:2]):
                wrong.append(1)

    churner = threading.Thread(target=churn)
    churner.start()
    try:
        for _ in range(60):
            assert np.array_equal(steady(X), EXPECTED)
    finally:
        stop.set()
        churner.join()
    assert not wrong


def _run_in_child(engine: Engine, timeout_s: float = 20.0) -> int:
    """Exit status of a forked child that runs the engine: 0 equal, 1 different, -1 killed because it hung."""
    child = os.fork()
    if child == 0:
        status = 2
        try:
            status = 0 if all(np.array_equal(engine(X[:n]), EXPECTED[:n]) for n in (1, 6, 1)) else 1
        finally:
            os._exit(status)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 3])
def test_fork_after_use(threads: int) -> None:
    engine = load(DATA, threads=threads)
    engine(X)
    assert _run_in_child(engine) == 0
    assert np.array_equal(engine(X), EXPECTED)  # the parent's threads are alive


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_while_other_threads_run() -> None:
    engine = load(DATA, threads=2)
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            engine(X)

    runners = [threading.Thread(target=run) for _ in range(3)]
    for runner in runners:
        runner.start()
    try:
        assert [_run_in_child(engine) for _ in range(5)] == [0] * 5
    finally:
        stop.set()
        for runner in runners:
            runner.join()


def test_spawned_process() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_same_sum, (DATA, X)) == float(np.abs(EXPECTED).sum(dtype=np.float64))


def _same_sum(data: bytes, x: np.ndarray) -> float:
    return float(np.abs(load(data, threads=2)(x)).sum(dtype=np.float64))


def _threads_now() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def test_threads_start_late_and_end_with_the_engine() -> None:
    gc.collect()
    before = _threads_now()
    engine = load(DATA, threads=4)
    assert _threads_now() == before  # lazily
    engine(X)
    assert _threads_now() == before + 3
    del engine
    gc.collect()
    assert _threads_now() == before


def test_memory_does_not_grow() -> None:
    def resident_kb() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

    for _ in range(30):
        load(DATA, threads=2)(X)
    gc.collect()
    before = resident_kb()
    for _ in range(100):
        load(DATA, threads=2)(X)
    gc.collect()
    assert resident_kb() - before < 2048
