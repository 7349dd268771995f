"""Every named defect is refused with the kind that the format page gives it; its twin loads."""

from __future__ import annotations

import time

import pytest

from kompakt._core.errors import ArtifactError
from kompakt.artifact import from_bytes
from support.malformed import CASES, Case

SEEDS = range(3)


def seeds(case: Case) -> range:
    return SEEDS[:1] if case.is_large else SEEDS


def test_the_table_is_large_and_covers_every_kind() -> None:
    kinds = {kind for case in CASES.values() for kind in case.kinds}
    assert len(CASES) >= 400
    assert kinds == set(
        "truncated size header version section digest manifest node shape encoding value overflow_risk".split()
    )


@pytest.mark.parametrize("name", CASES)
def test_refused_by_the_python_reader(name: str) -> None:
    case = CASES[name]
    for seed in seeds(case):
        with pytest.raises(ArtifactError) as caught:
            from_bytes(case.make(seed))
        assert caught.value.kind in case.kinds, caught.value
        assert 10 < len(str(caught.value)) < 2000


def test_twins_load() -> None:
    twins = {case.twin(seed) for case in CASES.values() for seed in seeds(case)}
    for data in twins:
        from_bytes(data)


@pytest.mark.parametrize("name", [name for name in CASES if "2_6" in name or "wrap" in name or "terabyte" in name])
def test_declared_sizes_cost_no_time(name: str) -> None:
    data = CASES[name].make(0)
    begin = time.perf_counter()
    with pytest.raises(ArtifactError):
        from_bytes(data)
    # The bar is 50 ms; ten times that leaves room for a busy machine.
    assert time.perf_counter() - begin < 0.5
