"""Measure a `.kpt` file against other engines that run the same float network, and int8 made from it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import engine
from .._core.errors import InputError
from ._machine import machine
from ._measure import Progress, measure
from ._network import Network
from ._plan import Plan
from .peers import DEFAULT, PEERS
from .result import BenchResult

if TYPE_CHECKING:
    import torch


def _no_progress(text: str, fraction: float) -> None:
    """Nobody watches."""


def run_bench(
    kpt_path: str | os.PathLike[str],
    module: torch.nn.Module,
    calibration: np.ndarray,
    against: Sequence[str] = DEFAULT,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    rounds: int = 20,
    seconds: float = 2.0,
    progress: Progress = _no_progress,
) -> BenchResult:
    """Time the file on our engine and the float network on the others, in alternation, in this process.

    Per thread count and batch size every engine forms pairs with ours in `rounds` rounds; our engine is one of the
    others too (a second instance of it: the A/A row). Threads are bound to the same cores. One thread is compared by
    process CPU time, which other jobs on the machine disturb least; more threads by wall time.

    Args:
        kpt_path: the file.
        module: the float network that the file was made from; one tensor in, one out.
        calibration: float32 (N, *input shape), normalised as the network wants it; calibrates the int8 peers, and is
            the input of all engines. 128 real images are plenty.
        against: names of `PEERS`. What is not installed or fails is listed in the result, with the reason.
        seconds: measuring time per pair of engines and setting.
        progress: called with what comes next and the fraction done.
    Raises: InputError for settings or data that do not fit, ArtifactError for a bad file.
    """
    plan = Plan(tuple(dict.fromkeys(against)), tuple(threads), tuple(batches), rounds, seconds)
    data = Path(kpt_path).read_bytes()
    ours = engine.load(data)
    facts = machine()  # before the run, so that the load average is not our own
    _check_data(calibration, tuple(ours.input_shape))
    with tempfile.TemporaryDirectory(prefix="kompakt-bench-") as folder:
        network = Network(module, calibration, Path(folder))
        _check_same_network(network, ours)
        own, rows, absent = measure(lambda count: engine.load(data, threads=count), network, plan, progress)
    return BenchResult(
        net=_name(ours.metadata, Path(kpt_path)),
        isa=ours.isa,
        file={"name": Path(kpt_path).name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
        rows=tuple(rows),
        own=tuple(own),
        absent=absent,
        how={name: PEERS[name].how for name in plan.against if name not in absent},
        settings={"rounds": rounds, "seconds_per_pair": seconds, "calibration_images": len(calibration)},
        machine=facts,
    )


def _name(metadata: dict[str, Any], path: Path) -> str:
    """The recipe's name where the file tells it, else the file's."""
    named = [line for line in str(metadata.get("recipe", "")).splitlines() if line.startswith("name=")]
    return named[0].removeprefix("name=") if named else path.stem


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
