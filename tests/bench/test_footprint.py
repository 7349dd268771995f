"""Memory of a process that only runs a file: bounded by the file, what lies in memory at once, and a few megabytes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kompakt.artifact import to_bytes
from kompakt.bench.footprint import allowed_bytes, extra_bytes, first_result_s
from support.programs import resnet_like_program


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "model.kpt").write_bytes(to_bytes(resnet_like_program(0, widths=(16, 32, 64), size=32), {}))
    return tmp_path / "model.kpt"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from /proc")
def test_peak_memory_is_bounded(path: Path) -> None:
    assert 0 < extra_bytes(path) <= allowed_bytes(path)


def test_first_result_comes_without_torch(path: Path) -> None:
    assert len(first_result_s(path, 1)) == 1  # the process itself checks that torch was not imported
