"""Rows as they are found, kept in a file so that a run that was killed can go on where it was."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .._core.errors import InputError
from .result import OURS, BenchResult, Row, save

Setting = tuple[int, int]  # threads, batch


class Journal:
    """A result that grows row by row.

    Before a row is measured the file says that its engine did not finish; the row replaces that. So an engine that
    crashes, or runs past its limit, takes the process with it but is not tried again by the next run.

    Args:
        blank: the result without rows.
        path: where it is kept; None: nowhere.
        resume: go on with what the file holds.
    Raises: InputError if the file holds another measurement.
    """

    def __init__(self, blank: BenchResult, path: Path | None = None, resume: bool = False) -> None:
        self.result, self._path = blank, path
        if path is not None and resume and path.exists():
            self.result = _continued(blank, path)

    def has(self, engine: str, setting: Setting) -> bool:
        """Whether the row is there, or is known not to come."""
        rows = self.result.own if engine == OURS else self.result.rows
        return engine in self.result.absent or any(
            (row.engine, row.threads, row.batch) == (engine, *setting) for row in rows
        )

    def add(self, row: Row) -> None:
        """Keep a row."""
        own, rows = self.result.own, self.result.rows
        is_ours = row.engine == OURS
        self._keep(replace(self.result, own=(*own, row) if is_ours else own, rows=rows if is_ours else (*rows, row)))

    def drop(self, engine: str, reason: str) -> None:
        """Note why an engine has no (further) rows."""
        self._keep(replace(self.result, absent={**self.result.absent, engine: reason}))

    @contextlib.contextmanager
    def attempt(self, engine: str, setting: Setting, limit_s: int | None) -> Iterator[None]:
        """While a row is measured; the process ends (SIGALRM) if that takes more than `limit_s` seconds."""
        threads, batch = setting
        within = f" within {limit_s} s" if limit_s else ""
        self.drop(engine, f"did not finish{within} at threads {threads}, batch {batch}, or ended the process")
        with _alarm(limit_s):
            yield
        remaining = {name: reason for name, reason in self.result.absent.items() if name != engine}
        self._keep(replace(self.result, absent=remaining))

    def _keep(self, result: BenchResult) -> None:
        self.result = result
        if self._path is not None:
            save(result, self._path)


@contextlib.contextmanager
def _alarm(seconds: int | None) -> Iterator[None]:
    """The default action of SIGALRM, and no Python handler, ends the process: other people's loops hold the lock."""
    if seconds is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _continued(blank: BenchResult, path: Path) -> BenchResult:
    try:
        found = BenchResult.from_dict(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be continued, not a benchmark ({type(error).__name__}: {error})") from error
    for key in ("net", "isa", "hidden", "bits", "settings"):
        expected, came = getattr(blank, key), getattr(found, key)
        if expected != came:
            raise InputError(f"{path}: holds another measurement ({key} {came!r}, now {expected!r}); remove it")
    if found.file["sha256"] != blank.file["sha256"]:
        raise InputError(f"{path}: holds the measurement of another file; remove it")
    return replace(blank, rows=found.rows, own=found.own, absent=found.absent)
