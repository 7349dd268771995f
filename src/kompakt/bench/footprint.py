"""How much a process needs to load a file and give a first result: seconds and memory, each in fresh processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

_BASE = """
import sys, numpy
"""
_FIRST = """
import sys, numpy
import kompakt
engine = kompakt.load(sys.argv[1])
engine(numpy.zeros((1, *engine.input_shape), numpy.float32))
assert "torch" not in sys.modules
"""
_PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
ALLOWED_FACTOR, ALLOWED_BYTES = 1.5, 8_000_000


def first_result_s(path: Path, repetitions: int = 10) -> list[float]:
    """Seconds of import, load and first result of a fresh process, over those of a process that imports NumPy alone."""
    pairs = [(_seconds(_FIRST, path), _seconds(_BASE, path)) for _ in range(repetitions)]
    return [full - base for full, base in pairs]


def extra_bytes(path: Path) -> int:
    """Peak resident bytes of a process that imports, loads and runs once, over those of Python with NumPy (Linux)."""
    full, base = (1024 * int(_run(code + _PEAK, path)) for code in (_FIRST, _BASE))
    return full - base


def allowed_bytes(path: Path) -> int:
    """What `extra_bytes` should not exceed: 1.5 times the file, the largest values at once, and 8 MB."""
    from ..artifact import load
    from ..measure import program_cost

    program = load(path)[0]
    return round(ALLOWED_FACTOR * path.stat().st_size) + program_cost(program).peak_bytes + ALLOWED_BYTES


def _seconds(code: str, path: Path) -> float:
    start = time.perf_counter()
    _run(code, path)
    return time.perf_counter() - start


def _run(code: str, path: Path) -> str:
    return subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
