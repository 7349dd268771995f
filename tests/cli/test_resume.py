"""Ctrl-C saves the state and says how to go on; going on ends where an unbroken run ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.command import in_own_process

pytestmark = pytest.mark.slow
PATIENCE_S = 120


def arguments(net: Path, folder: Path) -> list[str]:
    settings = [
        "train.epochs=12", "train.batch_size=64", "train.compile=false", "train.bf16=false", "train.evaluate_every=50",
    ]  # fmt: skip
    options = [word for setting in settings for word in ("-s", setting)]
    model = ["compress", f"{net}:build", "--recipe", "w2a2-lq", "--data", "digits", "--threads", "1"]
    return [*model, *options, "--folder", str(folder)]


def interrupted(words: list[str], folder: Path) -> tuple[int, str]:
    """Start a run and interrupt it after its first checkpoint: exit code and what it printed to stderr."""
    process = subprocess.Popen([sys.executable, "-m", "kompakt", *words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + PATIENCE_S
    while not (folder / "checkpoint.pt").exists():
        assert process.poll() is None, "the run ended before it could be interrupted"
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, err


def test_interrupt_and_resume(net: Path, tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    code, err = interrupted(arguments(net, broken), broken)
    assert code == 130
    assert "the state is saved, go on with:" in err
    assert f"--folder {broken} --resume" in err
    assert not (broken / "result.json").exists()
    refused = in_own_process(*arguments(net, broken))
    assert refused.code == 2
    assert "holds an unfinished run" in refused.err
    assert in_own_process(*arguments(net, broken), "--resume").code == 0
    assert in_own_process(*arguments(net, whole), "--quiet").code == 0
    assert (broken / "model.kpt").read_bytes() == (whole / "model.kpt").read_bytes()


def test_force_starts_over(net: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"of another run")
    (tmp_path / "notes.txt").write_text("mine")
    outcome = in_own_process(
        *arguments(net, tmp_path), "-s", "train.epochs=1", "-s", "train.warmup_epochs=0", "--force"
    )
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_another_run_is_not_resumed(net: Path, tmp_path: Path) -> None:
    interrupted(arguments(net, tmp_path), tmp_path)
    outcome = in_own_process(*arguments(net, tmp_path), "-s", "train.lr=0.5", "--resume")
    assert outcome.code == 1
    assert "other settings" in outcome.err
    assert (tmp_path / "checkpoint.pt").exists()
