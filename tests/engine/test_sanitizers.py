"""The engine's tests once more under the address and undefined behaviour sanitizers, and its threads under TSan."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kompakt.artifact.write import save
from support.programs import resnet_like_program

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake and a compiler"),
]

# Puts the module built here in the place of the installed one, then runs the tests without torch (too slow with ASan).
RUN_TESTS = """
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


def _run(command: list[str], **options: object) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout[-6000:]
    return str(done.stdout)


def _build(folder: Path, target: str, *options: str) -> None:
    _run(["cmake", "-S", str(ROOT), "-B", str(folder), f"-DPython_EXECUTABLE={sys.executable}", *options])
    _run(["cmake", "--build", str(folder), "--target", target, "-j2"])


def _library(name: str) -> str:
    return _run(["g++", f"-print-file-name={name}"]).strip()


def test_engine_tests_under_address_and_undefined_sanitizers(tmp_path: Path) -> None:
    _build(tmp_path, "_native", "-DKOMPAKT_MODULE=ON", "-DKOMPAKT_SANITIZE=ON")
    (module,) = tmp_path.glob("_native*.so")
    environment = {
        **os.environ,
        # The C++ library must be known to ASan before it intercepts exceptions.
        "LD_PRELOAD": f"{_library('libasan.so')} {_library('libstdc++.so')}",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
        "OPENBLAS_NUM_THREADS": "1",
    }
    options = [
        "-q",
        "-m",
        "not slow",
        "--capture=sys",
        "-p",
        "no:cacheprovider",
        "-k",
        # A fork beside allocating threads can leave ASan's own allocator locked in the child; the plain run tests it.
        "not memory_does_not_grow and not spawned and not fork_while_other_threads_run",
    ]
    command = [sys.executable, "-c", RUN_TESTS, str(module), *options, str(ROOT / "tests" / "engine")]
    assert " passed" in _run(command, env=environment, cwd=ROOT)


def test_concurrent_calls_under_the_thread_sanitizer(tmp_path: Path) -> None:
    options = ["-DKOMPAKT_TOOLS=ON", "-DKOMPAKT_MODULE=OFF", "-DCMAKE_CXX_FLAGS=-fsanitize=thread"]
    _build(tmp_path, "kpt_stress", *options)
    model = tmp_path / "model.kpt"
    save(model, resnet_like_program(21, widths=(8, 16), size=10))
    for threads in ("1", "3"):
        assert _run([str(tmp_path / "kpt_stress"), str(model), threads, "4", "150"]) == "0 wrong outputs\n"
