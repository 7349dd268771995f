"""The measurement: at every setting each engine is paired with ours, and ours with a second instance of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from ._clock import Runner, alternate
from ._cores import pinned
from ._network import Network
from ._plan import Plan
from ._statistics import paired_ratio, snr_db
from .peers import PEERS
from .result import OURS, Row

SNR_IMAGES = 32
Progress = Callable[[str, float], None]
Loader = Callable[[int], Runner]


def measure(
    load: Loader, network: Network, plan: Plan, progress: Progress
) -> tuple[list[Row], list[Row], dict[str, str]]:
    """Rows of all settings.

    Args:
        load: gives a new instance of our engine with so many threads.
        progress: called with the name of what comes next and the fraction done.
    Returns: A/A rows, peer rows, and engine -> reason for the peers that cannot run.
    """
    own: list[Row] = []
    rows: list[Row] = []
    absent = plan.missing()
    steps = [(setting, name) for setting in plan.settings() for name in (OURS, *plan.against)]
    # One binding for all settings: OpenVINO counts the cores it may use once per process.
    with pinned(max(plan.threads)), _torch_threads() as set_torch_threads:
        for done, ((threads, batch), name) in enumerate(steps):
            if name in absent:
                continue
            progress(f"{name}, threads {threads}, batch {batch}", done / len(steps))
            set_torch_threads(threads)
            theirs = load(threads) if name == OURS else _peer(name, network, threads, batch, absent)
            if theirs is not None:
                row = _row(name, (load(threads), theirs), network, (threads, batch), plan)
                (own if name == OURS else rows).append(row)
    progress("done", 1.0)
    return own, rows, absent


def _peer(name: str, network: Network, threads: int, batch: int, absent: dict[str, str]) -> Runner | None:
    """The peer, having run once; None, and the reason in `absent`, where it fails."""
    try:
        run = PEERS[name].build(network, threads, batch)
        run(_images(network, batch)[:batch])
    except Exception as error:  # whatever fails in somebody else's engine is reported and must not end the run
        text = str(error).strip() or "no message"
        absent[name] = f"failed at threads {threads}, batch {batch}: {type(error).__name__}: {text.splitlines()[0]}"
        return None
    return run


def _row(name: str, pair: tuple[Runner, Runner], network: Network, setting: tuple[int, int], plan: Plan) -> Row:
    """Measure the pair (ours, theirs); the row is about theirs."""
    threads, batch = setting
    images = _images(network, batch)
    outputs = [np.array(pair[1](images[start : start + batch])) for start in range(0, len(images), batch)]
    ours, theirs = alternate(*pair, images[:batch], plan.rounds, plan.seconds)
    clock = "cpu" if threads == 1 else "wall"
    samples = theirs.samples(clock)
    return Row(
        engine=name,
        threads=threads,
        batch=batch,
        clock=clock,
        ms_p10=float(np.percentile(samples, 10)),
        ms_median=float(np.median(samples)),
        wall_ms_median=float(np.median(theirs.samples("wall"))),
        ratio=paired_ratio(theirs.rounds(clock), ours.rounds(clock)),
        snr_db=snr_db(network.reference(images), np.concatenate(outputs)),
    )


def _images(network: Network, batch: int) -> np.ndarray:
    """At least `SNR_IMAGES` images, a multiple of `batch`; calibration data repeats where there is too little."""
    count = batch * -(-SNR_IMAGES // batch)
    images: np.ndarray = network.calibration[np.arange(count) % len(network.calibration)]
    return images


@contextmanager
def _torch_threads() -> Iterator[Callable[[int], None]]:
    """Gives the function that sets torch's thread count, which is one for the process; restores it on leaving."""
    import torch

    before = torch.get_num_threads()
    try:
        yield torch.set_num_threads
    finally:
        torch.set_num_threads(before)
