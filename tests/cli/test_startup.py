"""Starting is quick, and commands that need no torch work where there is none."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from support.command import in_own_process

HELP_CPU_S = 0.5


def test_help_starts_in_half_a_second() -> None:
    """CPU time of the fastest of three starts: what the machine does besides does not count."""
    assert min(_cpu_seconds("--help") for _ in range(3)) < HELP_CPU_S


def _cpu_seconds(*arguments: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert in_own_process(*arguments).code == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize("arguments", [
    ["--help"], ["--version"], ["doctor"], ["inspect", "FILE", "--kernels"], ["run", "FILE", "--random"],
    ["evaluate", "FILE", "--data", "digits"], ["verify", "FILE", "--data", "digits"], ["report", "FOLDER"],
], ids=lambda arguments: arguments[0])  # fmt: skip
def test_commands_that_need_no_torch(arguments: list[str], run_folder: Path, tmp_path: Path) -> None:
    places = {"FILE": run_folder / "model.kpt", "FOLDER": run_folder}
    output = ["--output", tmp_path / "page.html"] if arguments[0] == "report" else []
    words = [places.get(word, word) for word in arguments]
    outcome = in_own_process(*words, *output, without_torch=True)
    assert outcome.code == 0, outcome.err


def test_a_command_that_needs_torch_says_so_where_there_is_none(run_folder: Path) -> None:
    outcome = in_own_process("compress", run_folder / "recipe.toml", without_torch=True)
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")
    assert "torch" in outcome.err
    assert "kompakt doctor" in outcome.err


def test_output_into_a_closed_pipe_is_no_error_message(run_folder: Path) -> None:
    import subprocess

    command = f"{sys.executable} -m kompakt inspect {run_folder / 'model.kpt'} --json --kernels | head -c 10"
    process = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert process.stderr == ""
    assert len(process.stdout) == 10
