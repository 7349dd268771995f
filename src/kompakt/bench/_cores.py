"""Binding a measurement to a fixed number of processor cores, so that every engine gets the same ones."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

LOOK_S = 0.1  # how long the load of each core is watched before some are chosen


@contextlib.contextmanager
def pinned(count: int) -> Iterator[tuple[int, ...]]:
    """Bind every thread of this process to the `count` least busy cores; threads started inside inherit the binding.

    Yields the cores, or () where the system cannot bind (not Linux). Bindings are restored on leaving.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield ()
        return
    allowed = os.sched_getaffinity(0)
    before = {thread: os.sched_getaffinity(thread) for thread in _threads()}
    cores = quiet_cores(allowed, count)
    _bind({thread: set(cores) for thread in before})
    try:
        yield cores
    finally:
        _bind({thread: before.get(thread, allowed) for thread in _threads()})


def quiet_cores(allowed: set[int], count: int) -> tuple[int, ...]:
    """The `count` cores of `allowed` that work least at present, each its own physical core where possible."""
    start = _busy_ticks()
    time.sleep(LOOK_S)
    end = _busy_ticks()
    ranked = sorted(allowed, key=lambda core: (end.get(core, 0) - start.get(core, 0), core))
    chosen: list[int] = []
    taken: set[int] = set()
    for core in ranked:
        if core not in taken:
            chosen.append(core)
            taken |= _siblings(core)
    chosen += [core for core in ranked if core not in chosen]
    return tuple(sorted(chosen[:count]))


def _threads() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/task")]


def _bind(cores_of: dict[int, set[int]]) -> None:
    for thread, cores in cores_of.items():
        with contextlib.suppress(ProcessLookupError):  # the thread may have ended meanwhile
            os.sched_setaffinity(thread, cores)


def _busy_ticks() -> dict[int, int]:
    """Ticks that each core did not idle (idle and iowait are columns 4 and 5 of /proc/stat)."""
    busy = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name != "cpu":
            busy[int(name[3:])] = sum(map(int, ticks)) - int(ticks[3]) - int(ticks[4])
    return busy


def _siblings(core: int) -> set[int]:
    """Hardware threads that share the physical core of `core`."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    siblings = {core}
    with contextlib.suppress(OSError, ValueError):
        for part in path.read_text().strip().split(","):
            first, _, last = part.partition("-")
            siblings |= set(range(int(first), int(last or first) + 1))
    return siblings
