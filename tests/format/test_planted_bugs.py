"""The tests are tested: every planted bug of the native reader is found by malformed files, boundaries or mutations."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.boundaries import boundaries
from support.fuzz import corpus, mutate
from support.kpt_verify import ROOT, build, kind, rebuild, verdicts
from support.malformed import CASES
from support.planted_bugs import BUGS, Bug
from support.readers import python_verdict

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake and a compiler")]

MUTATIONS = 2500


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, with its build in `build`."""
    copy = tmp_path_factory.mktemp("planted")
    shutil.copytree(ROOT / "csrc", copy / "csrc")
    shutil.copy(ROOT / "CMakeLists.txt", copy)
    build(copy / "build", sanitize=True, source=copy)
    return copy


@pytest.fixture(scope="module")
def exam() -> list[tuple[str, bytes, tuple[str, ...]]]:
    """Name, file, and the legal verdicts. Of a refused mutation any kind is legal, as it may have several defects."""
    kinds = tuple({kind for case in CASES.values() for kind in case.kinds})
    questions = [(case.name, case.make(0), case.kinds) for case in CASES.values() if not case.is_large]
    questions += [(case.name, case.file, case.expected) for case in boundaries()]
    files = corpus()
    for seed in range(MUTATIONS):
        file = mutate(files, seed)
        questions.append((f"mutation {seed}", file, ("OK",) if python_verdict(file) == "OK" else kinds))
    return questions


def failures(tool: Path, exam: list[tuple[str, bytes, tuple[str, ...]]]) -> list[str]:
    """Names of the wrong answers; a crash is one."""
    try:
        found = verdicts(tool, (file for _, file, _ in exam))
    except AssertionError as crash:
        return [str(crash)]
    return [name for (name, _, legal), line in zip(exam, found, strict=True) if kind(line) not in legal]


def test_sound_reader_passes(tree: Path, exam: list[tuple[str, bytes, tuple[str, ...]]]) -> None:
    assert failures(tree / "build" / "kpt_verify", exam) == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_planted_bug_is_found(bug: Bug, tree: Path, exam: list[tuple[str, bytes, tuple[str, ...]]]) -> None:
    path = tree / "csrc" / bug.path
    sound = path.read_text()
    assert sound.count(bug.right) == 1
    path.write_text(sound.replace(bug.right, bug.wrong))
    try:
        assert failures(rebuild(tree / "build"), exam) != []
    finally:
        path.write_text(sound)
