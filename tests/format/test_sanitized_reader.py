"""The native reader under the address and undefined behaviour sanitizers, and its memory and time on hostile sizes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.fuzz import corpus, mutate
from support.kpt_verify import build, kind, verdicts
from support.malformed import CASES

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake and a compiler")]

MUTATIONS = 40_000
BATCH = 5_000


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("sanitized"), sanitize=True)


def test_legal_files(tool: Path) -> None:
    files = corpus()
    assert verdicts(tool, files) == ["OK"] * len(files)


def test_malformed_files(tool: Path) -> None:
    for seed in range(3):
        cases = [case for case in CASES.values() if seed == 0 or not case.is_large]
        found = verdicts(tool, (case.make(seed) for case in cases))
        wrong = [(case.name, line) for case, line in zip(cases, found, strict=True) if kind(line) not in case.kinds]
        assert wrong == []


@pytest.mark.parametrize("first", range(0, MUTATIONS, BATCH))
def test_mutations_end_in_a_verdict(tool: Path, first: int) -> None:
    files = corpus()
    verdicts(tool, (mutate(files, 1_000_000 + seed) for seed in range(first, first + BATCH)))


def test_every_truncation(tool: Path) -> None:
    for file in corpus()[:6]:
        found = verdicts(tool, (file[:length] for length in range(len(file))))
        assert "OK" not in found
