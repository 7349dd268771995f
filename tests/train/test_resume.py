"""A run that was cut off at any point and went on ends with the bits of an unbroken one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kompakt.quant import METHODS
from kompakt.quant.assigned_bits import AssignedBits
from kompakt.quant.attach import Choice, LayerChoice
from kompakt.quant.quantizer import UNSIGNED, WEIGHTS
from support.quantized import layer
from support.training import STEPS, checkpoint, float_net, metrics, quantized_net, run, same

TESTS = Path(__file__).parents[1]
KILLED = """
import os, signal, sys
from pathlib import Path
from support import training
folder, point, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
left = [count]
def strike(*_):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
module = training.quantized_net(training.float_net())
if point == "forward":
    module.register_forward_pre_hook(lambda m, a: strike() if m.training else None)
else:
    plain = getattr(os, point)
    def struck(*arguments):
        strike()
        return plain(*arguments)
    setattr(os, point, struck)
training.run(folder, resume=True, module=module)
"""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    run(folder)
    return folder


def assert_same_run(folder: Path, unbroken: Path) -> None:
    assert same(checkpoint(folder), checkpoint(unbroken))
    assert metrics(folder) == metrics(unbroken)
    assert sorted(p.name for p in folder.iterdir()) == ["checkpoint.pt", "metrics.jsonl"]


def test_runs_are_repeatable(unbroken, tmp_path):
    run(tmp_path)
    assert_same_run(tmp_path, unbroken)


def test_the_log_has_one_line_for_every_epoch_and_the_last_stage(unbroken):
    records = metrics(unbroken)
    assert [record["event"] for record in records] == ["epoch", "epoch", "stage", "epoch"]
    assert [record["epoch"] for record in records if record["event"] == "epoch"] == [1, 2, 3]
    assert ["val_top1" in record for record in records if record["event"] == "epoch"] == [False, True, True]


def stop_before(module, steps):
    """A hook that presses Ctrl-C in front of a training step, counted from 1."""
    left = [steps]

    def strike(m, arguments):
        left[0] -= m.training
        if left[0] == 0 and m.training:
            os.kill(os.getpid(), signal.SIGINT)

    return module.register_forward_pre_hook(strike)


@pytest.mark.parametrize("steps", [1, STEPS, 2 * STEPS, 3 * STEPS - 2])
def test_an_interrupted_run_goes_on_with_the_same_bits(unbroken, tmp_path, steps):
    """Ctrl-C after a number of steps: in the first epoch, at an epoch's end, in the last stage."""
    module = quantized_net(float_net())
    hook = stop_before(module, steps)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, module=module)
    hook.remove()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    position = checkpoint(tmp_path)["progress"]
    assert position["epoch"] * STEPS + position["step"] == steps
    run(tmp_path, resume=True)
    assert_same_run(tmp_path, unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_method_goes_on_with_the_same_bits(name, tmp_path):
    """Stopped in the middle, and in the last stage, where levels are whole."""
    parts = METHODS[name]
    choice = Choice(name, min(b for b in parts.bits if b > 1 or len(parts.bits) == 1))
    inner = LayerChoice(
        choice if WEIGHTS in parts.roles else Choice("lsq", 4),
        choice if UNSIGNED in parts.roles else Choice("lsq", 4),
    )
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(whole, module=quantized_net(float_net(), inner))
    for resume, steps in ((False, STEPS + 2), (True, STEPS + 1)):
        module = quantized_net(float_net(), inner)
        stop_before(module, steps)
        with pytest.raises(KeyboardInterrupt):
            run(broken, resume=resume, module=module)
    run(broken, resume=True, module=quantized_net(float_net(), inner))
    assert_same_run(broken, whole)


def test_interrupting_the_last_evaluation_counts(tmp_path):
    module = quantized_net(float_net())

    def strike(m, arguments):
        if not m.training and len(arguments[0]) > 1:
            os.kill(os.getpid(), signal.SIGINT)

    module.register_forward_pre_hook(strike)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, module=module, epochs=1)
    assert checkpoint(tmp_path)["progress"]["epoch"] == 1


def kill(folder: Path, point: str, count: int) -> None:
    """Start a run in a process of its own; it is killed at the `count`-th call of `point`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(folder), point, str(count)]
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert outcome.returncode == -signal.SIGKILL, outcome.stderr


POINTS = [("forward", 1), ("forward", 4), ("forward", 2 * STEPS + 3), ("fsync", 7), ("replace", 9)]
"""Calls of the network in training; of fsync and rename, that is inside the saving of a checkpoint."""


@pytest.mark.slow
@pytest.mark.parametrize(("point", "count"), POINTS)
def test_a_killed_run_goes_on_with_the_same_bits(unbroken, tmp_path, point, count):
    kill(tmp_path, point, count)
    run(tmp_path, resume=True)
    assert same(checkpoint(tmp_path), checkpoint(unbroken))
    assert metrics(tmp_path) == metrics(unbroken)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again(unbroken, tmp_path):
    for count in (3, 2, 4):
        kill(tmp_path, "forward", count)
    run(tmp_path, resume=True)
    assert same(checkpoint(tmp_path), checkpoint(unbroken))
    assert metrics(tmp_path) == metrics(unbroken)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler's own
def test_compiled_training_resumes_with_the_same_bits(tmp_path, monkeypatch):
    run(tmp_path / "whole", epochs=2, compile=True)
    left, plain = [STEPS + 2], torch.optim.SGD.step

    def step(optimizer, *arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(optimizer, *arguments, **options)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", epochs=2, compile=True)
    run(tmp_path / "broken", epochs=2, compile=True, resume=True)
    assert same(checkpoint(tmp_path / "broken"), checkpoint(tmp_path / "whole"))
    assert metrics(tmp_path / "broken") == metrics(tmp_path / "whole")


def test_a_finished_run_is_not_trained_further(unbroken, tmp_path):
    run(tmp_path)
    before = checkpoint(tmp_path)
    run(tmp_path, resume=True)
    assert same(checkpoint(tmp_path), before)
    assert metrics(tmp_path) == metrics(unbroken)


def test_without_resume_a_run_starts_over(unbroken, tmp_path):
    run(tmp_path, epochs=1)
    run(tmp_path)
    assert_same_run(tmp_path, unbroken)


def test_how_often_states_are_saved_does_not_matter(unbroken, tmp_path):
    run(tmp_path, checkpoint_s=1e9)
    assert_same_run(tmp_path, unbroken)


def test_the_last_stage_survives_a_resume(tmp_path):
    """Whole levels are no part of the saved state: they follow from the epoch."""
    run(tmp_path, epochs=2, last_stage_epochs=1)
    module = run(tmp_path, resume=True, epochs=2, last_stage_epochs=1, module=quantized_net(float_net()))
    state = {key: value for key, value in module.state_dict().items() if torch.is_tensor(value)}
    saved = checkpoint(tmp_path)["module"]
    assert all(torch.equal(value, saved[key]) for key, value in state.items())


@pytest.mark.slow
@pytest.mark.parametrize("inner", [layer("adaqat5", "adaqat5"), layer("bmpq5", "lsq4")], ids=["adaqat", "bmpq"])
def test_bits_that_are_assigned_go_on_as_they_were(inner, tmp_path):
    """Stopped in the middle of an epoch, and in the last stage; bits do change."""
    settings = {"epochs": 3, "penalty": 100.0}
    whole = run(tmp_path / "whole", module=budgeted(inner), **settings)
    for resume, steps in ((False, STEPS + 2), (True, STEPS + 1)):
        module = budgeted(inner)
        stop_before(module, steps)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "broken", resume=resume, module=module, **settings)
    run(tmp_path / "broken", resume=True, module=budgeted(inner), **settings)
    assert_same_run(tmp_path / "broken", tmp_path / "whole")
    assert min(r.whole_bits for r in assigned_rules(whole)) < 5


def assigned_rules(module) -> list[AssignedBits]:
    return [m for m in module.modules() if isinstance(m, AssignedBits)]


def budgeted(inner) -> torch.nn.Module:
    """A net whose bits must fall."""
    module = quantized_net(float_net(), inner)
    for rule in assigned_rules(module):
        rule.mean_bits = 3.0
    return module
