"""A run folder to work on, made once, and commands in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from kompakt.cli.app import run_command
from kompakt.strategy.demo import NET_PY
from kompakt.zoo import DigitsNet
from support.command import Outcome

Command = Callable[..., Outcome]


@pytest.fixture
def kompakt(capsys: pytest.CaptureFixture[str]) -> Command:
    """`kompakt("inspect", path)` -> exit code and what was printed."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run_command([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`net.py` with `build()`: an untrained DigitsNet."""
    folder = tmp_path_factory.mktemp("net")
    torch.manual_seed(0)
    (folder / "weights.safetensors").write_bytes(safetensors.torch.save(DigitsNet().state_dict()))
    (folder / "net.py").write_text(NET_PY)
    return folder / "net.py"


@pytest.fixture(scope="session")
def run_folder(net: Path) -> Path:
    """The folder of a finished run without training: every command has something to work on."""
    folder = net.parent / "run"
    arguments = ["--recipe", "w2a2-lq", "--data", "digits", "-s", "train.epochs=0", "--folder", str(folder), "--quiet"]
    assert run_command(["compress", f"{net}:build", *arguments]) == 0
    return folder


@pytest.fixture(scope="session")
def model_file(run_folder: Path) -> Path:
    return run_folder / "model.kpt"
