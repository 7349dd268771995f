"""Measure a network in our file against other engines that run the float network, or what their tools make of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from .. import engine
from .._core.errors import InputError
from . import _hide
from ._journal import Journal
from ._machine import machine
from ._measure import Progress, measure
from ._network import Network
from ._plan import Plan
from .peers import PEERS
from .result import BenchResult

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        name: of the network, for the tables.
        data: bytes of the `.kpt` file.
        module: the float network that the file was made from; one tensor in, one out.
        calibration: float32 (N, *input shape), as the network wants it; calibrates the int8 peers, and is the input of
            all engines. 128 real images are plenty.
        bits: word of bit-widths where the file was packed untrained.
    """

    name: str
    data: bytes
    module: torch.nn.Module
    calibration: np.ndarray
    bits: str = ""


def _no_progress(text: str, fraction: float) -> None:
    """Nobody watches."""


def run_bench(
    subject: Subject, plan: Plan, progress: Progress = _no_progress, keep: Path | None = None, resume: bool = False
) -> BenchResult:
    """Time our engine and the others in alternation, in this process.

    Per thread count and batch size every engine forms pairs with ours in `plan.rounds` rounds; our engine is one of the
    others too (a second instance of it: the A/A row). Threads are bound to the same cores. One thread is compared by
    process CPU time, which other jobs on the machine disturb least; more threads by wall time. What is not installed,
    fails, or could use CPU features that are hidden from this process is listed in the result, with the reason.

    Args:
        progress: called with what comes next and the fraction done.
        keep: file that holds the result after every row.
        resume: go on with the rows of that file.
    Raises: InputError for data that do not fit, ArtifactError for a bad file, StorageError if it cannot be kept.
    """
    ours = engine.load(subject.data)
    _check_data(subject.calibration, tuple(ours.input_shape))
    # The machine's facts are taken before the run, so that the load average is not our own.
    journal = Journal(_blank(subject, plan, ours.isa), keep, resume)
    with TemporaryDirectory(prefix="kompakt-bench-") as folder:
        network = Network(subject.module, subject.calibration, Path(folder))
        _check_same_network(network, ours)
        measure(lambda count: engine.load(subject.data, threads=count), network, plan, journal, progress)
    return journal.result


def _blank(subject: Subject, plan: Plan, isa: str) -> BenchResult:
    word = _hide.hidden()
    families = dict.fromkeys(name.split(":")[0] for name in plan.against)
    means = {family: _hide.means(family) or "its own switches" for family in families}
    return BenchResult(
        net=subject.name,
        isa=isa,
        file={"bytes": len(subject.data), "sha256": hashlib.sha256(subject.data).hexdigest()},
        rows=(),
        own=(),
        how={name: PEERS[name].how for name in plan.against},
        settings={
            "rounds": plan.rounds, "seconds_per_pair": plan.seconds, "calibration_images": len(subject.calibration),
        },
        machine=machine(),
        bits=subject.bits,
        hidden={"features": word, **means} if word else {},
    )  # fmt: skip


def _check_data(calibration: np.ndarray, shape: tuple[int, ...]) -> None:
    expected = f"float32 (N, {', '.join(map(str, shape))}) with N > 0"
    if not isinstance(calibration, np.ndarray):
        raise InputError(f"calibration: expected a NumPy array, {expected}, got {type(calibration).__name__}")
    if calibration.dtype != np.float32 or calibration.shape[1:] != shape or not len(calibration):
        raise InputError(f"calibration: expected {expected}, got {calibration.dtype} {calibration.shape}")


def _check_same_network(network: Network, ours: engine.Engine) -> None:
    """An output of another shape than the file's shows that the module is not the network of the file."""
    image = network.calibration[:1]
    expected, came = np.asarray(ours(image)).shape, network.reference(image).shape
    if expected != came:
        raise InputError(f"module: expected the float network of the file, with output {expected}, got output {came}")
