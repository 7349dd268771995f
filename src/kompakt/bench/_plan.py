"""What a benchmark measures and how long."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .._core.errors import InputError, nearest
from ._statistics import LEAST_PAIRS
from .peers import PEERS


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Plan:
    """Engines and settings; see `run_bench` for their meaning. Raises InputError where they make no sense."""

    against: tuple[str, ...]
    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = (1,)
    rounds: int = 20
    seconds: float = 2.0
    row_limit_s: int | None = None

    def __post_init__(self) -> None:
        for name in self.against:
            if name not in PEERS:
                raise InputError(f"against: no engine {name!r}; {nearest(name, PEERS)}")
        cores = usable_cores()
        if not self.threads or not all(1 <= count <= cores for count in self.threads):
            raise InputError(f"threads: expected counts from 1 to {cores}, this machine's cores, got {self.threads}")
        if not self.batches or min(self.batches) < 1:
            raise InputError(f"batches: expected sizes of at least 1, got {list(self.batches)}")
        if self.rounds < LEAST_PAIRS:
            raise InputError(f"rounds: expected at least {LEAST_PAIRS}, fewer give no 95 % interval; got {self.rounds}")
        if self.row_limit_s is not None and self.row_limit_s < 1:
            raise InputError(f"limit: expected at least 1 second per row, got {self.row_limit_s}")
        if not 0 < self.seconds < float("inf"):
            raise InputError(f"seconds: expected a positive measuring time per pair of engines, got {self.seconds}")

    def settings(self) -> list[tuple[int, int]]:
        """(threads, batch) in the order they are measured."""
        return [(threads, batch) for threads in self.threads for batch in self.batches]

    def missing(self) -> dict[str, str]:
        """Engine -> what to install, for those that cannot run here."""
        packages = {name: PEERS[name].missing() for name in self.against}
        return {name: f"not installed: pip install {' '.join(names)}" for name, names in packages.items() if names}
