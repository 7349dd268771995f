"""The measurement: at every setting each engine is paired with ours, and ours with a second instance of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

from . import _hide
from ._clock import Runner, alternate
from ._cores import pinned
from ._journal import Journal, Setting
from ._network import Network
from ._plan import Plan
from ._statistics import paired_ratio, snr_db
from .peers import PEERS
from .result import OURS, Row

SNR_IMAGES = 32
Progress = Callable[[str, float], None]
Loader = Callable[[int], Runner]


def measure(load: Loader, network: Network, plan: Plan, journal: Journal, progress: Progress) -> None:
    """Measure all rows that the journal lacks.

    Args:
        load: gives a new instance of our engine with so many threads.
        progress: called with the name of what comes next and the fraction done.
    """
    for name, reason in _impossible(network, plan, journal.result.isa).items():
        journal.drop(name, reason)
    steps = [(setting, name) for setting in plan.settings() for name in (OURS, *plan.against)]
    # One binding for all settings: OpenVINO counts the cores it may use once per process.
    with pinned(max(plan.threads)), _torch_threads() as set_torch_threads:
        for done, (setting, name) in enumerate(steps):
            if journal.has(name, setting):
                continue
            progress(f"{name}, threads {setting[0]}, batch {setting[1]}", done / len(steps))
            set_torch_threads(setting[0])
            _step(load, network, plan, journal, (setting, name))
    progress("done", 1.0)


def _impossible(network: Network, plan: Plan, isa: str) -> dict[str, str]:
    """Engine -> why it cannot be measured here at all."""
    exposed = cache(lambda family: _hide.exposed(family, isa))
    found = plan.missing()
    for name in plan.against:
        family = name.split(":")[0]
        if PEERS[name].is_linear_only and not network.is_linear:
            found[name] = "runs networks of fully connected layers only"
        elif name not in found and exposed(family) is not None:
            found[name] = exposed(family) or ""
    return found


def _step(load: Loader, network: Network, plan: Plan, journal: Journal, step: tuple[Setting, str]) -> None:
    (threads, batch), name = step
    failure = None
    with journal.attempt(name, (threads, batch), plan.row_limit_s):
        try:
            theirs = load(threads) if name == OURS else PEERS[name].build(network, threads, batch)
            theirs(network.inputs(batch))
            row = _row(name, (load(threads), theirs), network, (threads, batch), plan)
        except Exception as error:  # whatever fails in somebody else's engine is reported and must not end the run
            if name == OURS:
                raise
            text = (str(error).strip() or "no message").splitlines()[0]
            failure = f"failed at threads {threads}, batch {batch}: {type(error).__name__}: {text}"
        else:
            journal.add(row)
    if failure is not None:
        journal.drop(name, failure)


def _row(name: str, pair: tuple[Runner, Runner], network: Network, setting: Setting, plan: Plan) -> Row:
    """Measure the pair (ours, theirs); the row is about theirs."""
    threads, batch = setting
    images = network.inputs(batch * -(-SNR_IMAGES // batch))
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
        snr_db=snr_db(network.reference_of_inputs(len(images)), np.concatenate(outputs)),
    )


@contextmanager
def _torch_threads() -> Iterator[Callable[[int], None]]:
    """Gives the function that sets torch's thread count, which is one for the process; restores it on leaving."""
    import torch

    before = torch.get_num_threads()
    try:
        yield torch.set_num_threads
    finally:
        torch.set_num_threads(before)
