"""kpt_verify: the native reader as a program, so that sanitizers need no Python and a crash is a test failure."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def build(folder: Path, *, sanitize: bool, source: Path = ROOT) -> Path:
    """Configure and build the tool in `folder`; the path of the program.

    Raises: AssertionError with the compiler's output.
    """
    options = ["-DKOMPAKT_TOOLS=ON", f"-DKOMPAKT_SANITIZE={'ON' if sanitize else 'OFF'}", "-DKOMPAKT_MODULE=OFF"]
    _run(["cmake", "-S", str(source), "-B", str(folder), *options])
    return rebuild(folder)


def rebuild(folder: Path) -> Path:
    """Build again what changed. Raises: AssertionError with the compiler's output."""
    _run(["cmake", "--build", str(folder), "--target", "kpt_verify", "-j2"])
    return folder / "kpt_verify"


def verdicts(tool: Path, files: Iterable[bytes]) -> list[str]:
    """One line per file: `OK`, or `kind: message`. Raises: AssertionError where the tool ended early: a crash."""
    records = [len(file).to_bytes(8, "little") + file for file in files]
    done = subprocess.run([str(tool), "-"], input=b"".join(records), capture_output=True, check=False)
    lines = done.stdout.decode("ascii").splitlines()
    assert len(lines) == len(records), f"case {len(lines)} ended the reader:\n{done.stderr.decode()[-4000:]}"
    assert done.returncode in (0, 1), f"exit status {done.returncode}:\n{done.stderr.decode()[-4000:]}"
    return lines


def kind(verdict: str) -> str:
    """`OK`, or the kind of the refusal."""
    return verdict.split(":")[0]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
