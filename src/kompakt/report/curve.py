"""The course of training, read from the lines of `metrics.jsonl`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Point = tuple[float, float]
MAX_POINTS = 240  # more than a chart 1000 pixels wide can show


@dataclass(frozen=True)
class Curve:
    """Loss and accuracy (percent) over `unit` ("epoch" or "step"), counted through all stages; `stages` are starts."""

    loss: tuple[Point, ...] = ()
    accuracy: tuple[Point, ...] = ()
    stages: tuple[tuple[float, str], ...] = ()
    unit: str = "epoch"

    @property
    def is_rising(self) -> bool:
        """Did the last fifth of training still gain 0.2 points over the fifth before?"""
        values = [y for _, y in self.accuracy]
        fifth = len(values) // 5
        if fifth < 1:
            return False
        last, previous = values[-fifth:], values[-2 * fifth : -fifth]
        return sum(last) / fifth - sum(previous) / fifth > 0.2


def read_curve(metrics: Sequence[dict[str, Any]]) -> Curve:
    """Collect the curve. An epoch that a resumed run wrote twice counts once, with its last values."""
    reader = _Reader()
    for line in metrics:
        reader.take(line)
    if not reader.epochs:
        points = tuple((float(i), y) for i, y in enumerate(reader.all_losses, 1))
        return Curve(loss=_thin(points), unit="step")
    values = list(enumerate(reader.epochs.values(), 1))
    loss = tuple((float(i), y) for i, (y, _) in values if y is not None)
    accuracy = tuple((float(i), y) for i, (_, y) in values if y is not None)
    return Curve(_thin(loss), _thin(accuracy), tuple(reader.stages[:12]))


class _Reader:
    """Folds the lines of a run into one (loss, accuracy) per epoch, keyed by (stage, epoch)."""

    def __init__(self) -> None:
        self.epochs: dict[tuple[int, float], tuple[float | None, float | None]] = {}
        self.stages: list[tuple[float, str]] = []
        self.all_losses: list[float] = []
        self._recent: list[float] = []
        self._announced: str | None = None
        self._first_epoch = 0.0

    def take(self, line: dict[str, Any]) -> None:
        event, loss = line.get("event"), _finite(line.get("loss"))
        if event == "stage":
            self._announced, self._recent = _stage_name(line), []
        elif event == "step" and loss is not None:
            self._recent.append(loss)
            self.all_losses.append(loss)
        elif event == "epoch":
            self._end_epoch(line, loss)

    def _end_epoch(self, line: dict[str, Any], loss: float | None) -> None:
        number = _finite(line.get("epoch"))
        epoch = float(len(self.epochs)) if number is None else number
        self._open_stage(epoch)
        if loss is None and self._recent:
            loss = sum(self._recent) / len(self._recent)
        self.epochs[len(self.stages), epoch] = (loss, _finite(line.get("val_top1")))
        self._recent = []

    def _open_stage(self, epoch: float) -> None:
        """Begin a stage, unless a resumed run only announced again the one that it goes on with."""
        name, self._announced = self._announced, None
        if name is None:
            return
        is_same = bool(self.stages) and self.stages[-1][1] == name and epoch > self._first_epoch
        if not is_same:
            self.stages.append((float(len(self.epochs)), name))
            self._first_epoch = epoch


def _stage_name(line: dict[str, Any]) -> str:
    return str(line.get("name") or line.get("stage") or "stage")[:40]


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        return None
    return float(value)


def _thin(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """At most MAX_POINTS points: means of equal runs of neighbours; the last point stays exact."""
    if len(points) <= MAX_POINTS:
        return points
    width = math.ceil(len(points) / (MAX_POINTS - 1))
    runs = [points[i : i + width] for i in range(0, len(points) - 1, width)]
    means = [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]
    return (*means, points[-1])
