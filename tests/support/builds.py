"""Other builds of the native module, and the engine's tests in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Puts the module built here in the place of the installed one, then runs the tests without torch (too slow with ASan).
_RUN_TESTS = """
import importlib.util, sys
import kompakt
spec = importlib.util.spec_from_file_location("kompakt._native", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules["kompakt._native"] = kompakt._native = module
sys.modules["torch"] = None
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""


def run(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Standard output and error of a command that must succeed; the end of them is in the failure."""
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return str(done.stdout)


def build(folder: Path, target: str, *options: str) -> None:
    """Configure the C++ sources with CMake options and build one target in `folder`."""
    run(["cmake", "-S", str(ROOT), "-B", str(folder), f"-DPython_EXECUTABLE={sys.executable}", *options])
    run(["cmake", "--build", str(folder), "--target", target, "-j2"])


def build_module(folder: Path, *options: str) -> Path:
    """Build the Python module with CMake options; gives its path."""
    build(folder, "_native", "-DKOMPAKT_MODULE=ON", *options)
    (module,) = folder.glob("_native*.so")
    return module


def run_engine_tests(module: Path, arguments: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Output of pytest with `arguments`, with `module` in the place of the installed one; the tests must pass."""
    command = [sys.executable, "-c", _RUN_TESTS, str(module), "-q", "--capture=sys", "-p", "no:cacheprovider"]
    return run([*command, *arguments], environment)
