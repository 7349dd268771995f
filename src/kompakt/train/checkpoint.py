"""The state of a training run on disk: everything that the rest of the run depends on, written atomically."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._core.errors import StorageError, TrainingError
from .._core.files import atomic_write

KEYS = {"progress", "module", "optimizer", "torch_rng", "fingerprint"}


@dataclass
class Progress:
    """Position in the run.

    Attributes:
        epoch, step: the next ones.
        seconds: time spent.
        metrics_bytes: what `metrics.jsonl` held at that time.
        losses: of the steps of the epoch that is under way.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    metrics_bytes: int = 0
    losses: list[float] = field(default_factory=list)


def save(path: Path, progress: Progress, module: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str) -> None:
    """Write model, optimizer, position and random state to `path`."""
    buffer = io.BytesIO()
    state = {
        "progress": vars(progress), "module": module.state_dict(), "optimizer": optimizer.state_dict(),
        "torch_rng": torch.get_rng_state(), "fingerprint": fingerprint,
        "gpu_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }  # fmt: skip
    torch.save(state, buffer)
    atomic_write(path, buffer.getvalue())


def restore(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str) -> Progress:
    """Load the state of `path` into module and optimizer.

    Raises: TrainingError if the file is unreadable or comes from a run with other settings.
    """
    state = _read(path)
    if state["fingerprint"] != fingerprint:
        raise TrainingError(f"{path}: comes from a run with other settings; use another output folder or delete it")
    try:
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["torch_rng"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state.get("gpu_rng", []))
        return Progress(**state["progress"])
    except (RuntimeError, ValueError, TypeError) as error:
        raise TrainingError(f"{path}: does not fit this network ({error}); use another folder or delete it") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise TrainingError(f"{path}: no readable checkpoint ({error}); delete it to start again") from error
    if not isinstance(state, dict) or not state.keys() >= KEYS:
        raise TrainingError(f"{path}: no checkpoint of a training run; delete it to start again")
    return state


class Metrics:
    """`metrics.jsonl`: one JSON object per line; on resume cut back to the checkpoint, so that no line is double.

    Raises: StorageError naming the file if it cannot be written.
    """

    def __init__(self, path: Path, keep_bytes: int = 0) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer: a killed process loses no line.
            self.stream = open(path, "r+b" if path.exists() else "w+b", buffering=0)  # noqa: SIM115  (see close)
            # Never beyond its end: a file that was deleted or shortened by hand must not fill with zero bytes.
            self.stream.truncate(min(keep_bytes, self.stream.seek(0, io.SEEK_END)))
            self.stream.seek(0, io.SEEK_END)
        except OSError as error:
            raise StorageError(f"{path}: cannot be written ({error.strerror})") from error

    def write(self, **record: object) -> None:
        """Append one record."""
        line = json.dumps(record).encode() + b"\n"
        try:
            written = self.stream.write(line)
        except OSError as error:
            raise StorageError(f"{self.path}: cannot write {len(line)} bytes ({error.strerror})") from error
        if written != len(line):
            raise StorageError(f"{self.path}: wrote {written} of {len(line)} bytes; is the disk full?")

    @property
    def size(self) -> int:
        """Bytes written, those of earlier runs included."""
        return self.stream.tell()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()
