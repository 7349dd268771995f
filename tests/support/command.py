"""The command line in tests: in this process, or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORBID_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
from kompakt.cli import main
main()
"""


@dataclass(frozen=True)
class Outcome:
    """What a command did: exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def in_own_process(
    *arguments: object, without_torch: bool = False, cwd: Path | None = None, **environment: str
) -> Outcome:
    """Run `kompakt` in a new process; `without_torch` makes every import of torch fail there."""
    start = ["-c", FORBID_TORCH] if without_torch else ["-m", "kompakt"]
    process = subprocess.run(
        [sys.executable, *start, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd,
        env={**os.environ, **environment},
    )  # fmt: skip
    return Outcome(process.returncode, process.stdout, process.stderr)
