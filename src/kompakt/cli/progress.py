"""Progress of a run on stderr: one live line per phase on a terminal, a plain line every now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import click

LINE_EVERY_S = 10.0
MOST_LINES = 120  # of one training phase: a long run prints less often, so that its log stays readable

Record = dict[str, Any]


def progress(quiet: bool) -> Progress:
    """Quiet, live or plain, as asked for and as the terminal allows."""
    if quiet:
        return Progress(_Silent())
    return Progress(_Live() if sys.stderr.isatty() else _Lines(time.monotonic))


class Progress:
    """Context that takes the records of `on_progress` and shows them.

    Records: {"event": "phase", "phase": name}, those of "layer" (`kompakt.strategy.job.prepare`), the training
    loop's of "step" and "epoch", {"event": "done"}.
    """

    def __init__(self, display: Any) -> None:
        self._display = display
        self._accuracy: float | None = None

    def __call__(self, record: Record) -> None:
        if record["event"] == "phase":
            self._display.phase(str(record["phase"]))
        elif record["event"] == "layer":
            self._display.update(*corrected(record))
        elif record["event"] in ("step", "epoch"):
            self._accuracy = record.get("val_top1", self._accuracy)
            fraction, remaining_s = position(record)
            self._display.update(fraction, remaining_s, training_text(record, self._accuracy, remaining_s))

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()


def position(record: Record) -> tuple[float, float]:
    """Fraction of the training that is done, and the seconds that remain."""
    seconds = float(record["seconds"])
    if record["event"] == "step":
        remaining = float(record["eta_s"])
        return seconds / max(seconds + remaining, 1e-9), remaining
    fraction = record["epoch"] / max(record["epochs"], 1)
    return fraction, seconds * (1 / max(fraction, 1e-9) - 1)


def corrected(record: Record) -> tuple[float, float, str]:
    """Fraction of the layers' work that is done, seconds that remain, and both in words."""
    fraction = record["done"] / record["of"]
    if fraction == 0:
        return 0.0, 0.0, str(record["layer"])
    remaining = record["seconds"] * (1 / fraction - 1)
    return fraction, remaining, f"{record['layer']}, {100 * fraction:.0f} % of the work, {duration(remaining)} left"


def training_text(record: Record, accuracy: float | None, remaining_s: float) -> str:
    """`epoch 3, step 120 of 390, loss 1.234, accuracy 89.12 %, 12 min left`."""
    where = f"epoch {record['epoch']}"
    if record["event"] == "step":
        where = f"epoch {record['epoch'] + 1}, step {record['step']} of {record['steps']}"
    parts = [where]
    if record.get("loss") is not None:
        parts.append(f"loss {record['loss']:.3f}")
    if "mean_bits" in record:
        parts.append(f"{record['mean_bits']:.2f} bits per weight")
    if accuracy is not None:
        parts.append(f"accuracy {accuracy:.2f} %")
    return ", ".join([*parts, f"{duration(remaining_s)} left"])


def duration(seconds: float) -> str:
    """`42 s`, `12 min` or `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class _Silent:
    def start(self) -> None: ...

    def stop(self) -> None: ...

    def phase(self, name: str) -> None: ...

    def update(self, fraction: float, remaining_s: float, text: str) -> None: ...


class _Lines(_Silent):
    """A line per phase, and one every 10 s (less often in a long run)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._name, self._last, self._began = clock, "", 0.0, 0.0

    def phase(self, name: str) -> None:
        self._name, self._last = name, self._clock()
        self._began = self._last
        click.echo(name, err=True)

    def update(self, fraction: float, remaining_s: float, text: str) -> None:
        now = self._clock()
        expected_s = now - self._began + remaining_s
        if now - self._last >= max(LINE_EVERY_S, expected_s / MOST_LINES) or fraction >= 1:
            self._last = now
            click.echo(f"{self._name}: {text}", err=True)


class _Live:
    """A bar per phase, drawn by rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
        )
        self._task: Any = None

    def start(self) -> None:
        self._bars.start()

    def stop(self) -> None:
        self._finish()
        self._bars.stop()

    def phase(self, name: str) -> None:
        self._finish()
        self._task = self._bars.add_task(name, total=None, text="")

    def update(self, fraction: float, remaining_s: float, text: str) -> None:
        if self._task is not None:
            self._bars.update(self._task, total=1.0, completed=fraction, text=text)

    def _finish(self) -> None:
        if self._task is not None:
            self._bars.update(self._task, total=1.0, completed=1.0)
            self._bars.stop_task(self._task)
