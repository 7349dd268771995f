"""The amx level on any CPU: in a build of its own its instructions trap and are emulated as the manual defines them."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from kompakt import _native
from support.builds import ROOT, build_module, run_engine_tests

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(platform.system() != "Linux", reason="emulates by Linux signals"),
    pytest.mark.skipif("avx512" not in _native.isa_levels(), reason="the amx level stands on AVX-512"),
]


def test_the_machine_code_of_the_amx_level_is_equal_to_the_reference(tmp_path: Path) -> None:
    module = build_module(tmp_path, "-DKOMPAKT_TRAP_TILES=ON")
    names = ("test_kernels.py", "test_programs.py", "test_interface.py", "test_concurrency.py")
    files = [str(ROOT / "tests" / "engine" / name) for name in names]
    # A spawned process would load the installed module.
    assert " passed" in run_engine_tests(module, ["-m", "not slow", "-k", "not spawned", *files])
