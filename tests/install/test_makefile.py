"""The Makefile on machines that lack something says what is missing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make(*words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({} if path is None else {"PATH": path})}
    return subprocess.run(
        ["make", "-C", str(ROOT), *words], capture_output=True, text=True, check=False, env=environment
    )


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_help_names_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    outcome = make("help")
    assert outcome.returncode == 0
    assert all(f"make {target} " in outcome.stdout for target in phony.group(1).split() if target != "help")


def test_an_old_python_is_named(tmp_path: Path) -> None:
    old = script(tmp_path / "python3", 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi')
    outcome = make("demo", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert outcome.returncode != 0
    assert "error: Python 3.11 or later is needed" in outcome.stdout
    assert "Python 3.9.2" in outcome.stdout
    assert not (tmp_path / "venv").exists()


def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "find", "grep", "make"):
        found = subprocess.run(["which", tool], capture_output=True, text=True, check=True).stdout.strip()
        (tmp_path / "bin" / tool).symlink_to(found)
    python = script(tmp_path / "bin" / "python3", "exit 0")
    outcome = make("demo", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}", path=str(tmp_path / "bin"))
    assert outcome.returncode != 0
    assert "error: a C++17 compiler is needed" in outcome.stdout


def test_bench_without_runs_says_what_to_do(tmp_path: Path) -> None:
    outcome = make("-n", "bench", f"VENV={tmp_path / 'venv'}")
    assert "run a recipe first" in outcome.stdout


def test_no_download_address_is_written_anywhere() -> None:
    """Which index pip asks is the machine's business."""
    written = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in ("Makefile", ".ci/run", "README.md", "CONTRIBUTING.md", "pyproject.toml", "constraints.txt"):
        assert name in written
        assert not re.search(r"index-url|https?://[^ ]*(pypi|pytorch)", (ROOT / name).read_text()), name
