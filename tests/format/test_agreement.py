"""The Python reader and the native reader accept and refuse the same files."""

from __future__ import annotations

from random import Random

import pytest

from support.fuzz import any_bytes, corpus, header_text, header_value, mutate
from support.malformed import CASES
from support.readers import native_verdict, python_verdict

MUTATIONS = 4000


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    return corpus()


def test_both_accept_legal_files(files: list[bytes]) -> None:
    assert [native_verdict(file) for file in files] == ["OK"] * len(files)
    assert [python_verdict(file) for file in files] == ["OK"] * len(files)


@pytest.mark.parametrize("name", CASES)
def test_native_reader_refuses_malformed_file(name: str) -> None:
    case = CASES[name]
    for seed in range(1 if case.is_large else 3):
        assert native_verdict(case.make(seed)) in case.kinds, f"seed {seed}"
        assert native_verdict(case.twin(seed)) == "OK", f"seed {seed}"


def test_readers_agree_on_mutations(files: list[bytes]) -> None:
    disagreements = []
    accepted = 0
    for seed in range(MUTATIONS):
        file = mutate(files, seed)
        native, python = native_verdict(file), python_verdict(file)
        accepted += native == "OK"
        if (native == "OK") != (python == "OK"):
            disagreements.append(f"mutate(corpus(), {seed}): native {native}, Python {python}")
    assert disagreements == []
    # Many mutations are harmless (another weight, another name); if all were refused, the checks behind saw nothing.
    assert MUTATIONS // 20 < accepted < MUTATIONS // 2


@pytest.mark.parametrize("mutator", [any_bytes, header_text, header_value])
def test_no_change_that_is_not_signed_is_accepted(mutator: object, files: list[bytes]) -> None:
    for seed in range(1500):
        rng = Random(seed)
        file = rng.choice(files)
        damaged = mutator(file, rng)  # type: ignore[operator]
        assert (native_verdict(damaged) == "OK") == (damaged == file), f"seed {seed}"


def test_every_truncation_is_refused(files: list[bytes]) -> None:
    for file in files[:2]:
        accepted = [length for length in range(len(file)) if native_verdict(file[:length]) == "OK"]
        assert accepted == []


def test_every_flipped_bit_is_refused(files: list[bytes]) -> None:
    file = files[0]
    for at in range(len(file)):
        for bit in range(8):
            damaged = file[:at] + bytes([file[at] ^ 1 << bit]) + file[at + 1 :]
            assert native_verdict(damaged) != "OK", f"byte {at}, bit {bit}"
