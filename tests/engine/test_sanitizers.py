"""The engine's tests once more under the address and undefined behaviour sanitizers, and its threads under TSan."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kompakt.artifact.write import save
from support.builds import ROOT, build, build_module, run, run_engine_tests
from support.programs import resnet_like_program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake and a compiler"),
]


def _library(name: str) -> str:
    return run(["g++", f"-print-file-name={name}"]).strip()


def test_engine_tests_under_address_and_undefined_sanitizers(tmp_path: Path) -> None:
    module = build_module(tmp_path, "-DKOMPAKT_SANITIZE=ON", "-DKOMPAKT_TRAP_TILES=ON")
    environment = {
        # The C++ library must be known to ASan before it intercepts exceptions.
        "LD_PRELOAD": f"{_library('libasan.so')} {_library('libstdc++.so')}",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
        "OPENBLAS_NUM_THREADS": "1",
    }
    options = [
        "-m",
        "not slow",
        "-k",
        # A fork beside allocating threads can leave ASan's own allocator locked in the child; the plain run tests it.
        "not memory_does_not_grow and not spawned and not fork_while_other_threads_run",
    ]
    assert " passed" in run_engine_tests(module, [*options, str(ROOT / "tests" / "engine")], environment)


def test_concurrent_calls_under_the_thread_sanitizer(tmp_path: Path) -> None:
    options = ["-DKOMPAKT_TOOLS=ON", "-DKOMPAKT_MODULE=OFF", "-DCMAKE_CXX_FLAGS=-fsanitize=thread"]
    build(tmp_path, "kpt_stress", *options)
    model = tmp_path / "model.kpt"
    save(model, resnet_like_program(21, widths=(8, 16), size=10))
    for threads in ("1", "3"):
        assert run([str(tmp_path / "kpt_stress"), str(model), threads, "4", "150"]) == "0 wrong outputs\n"
