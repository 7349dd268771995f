"""Damaged files: refused, or (where the damage is signed) read as exactly what they say; never anything between."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kompakt._core.errors import ArtifactError
from kompakt.artifact import Node, Program, from_bytes, to_bytes
from support.fuzz import any_bytes, corpus, mutate
from support.twin import twin_bytes


def smallest_bytes() -> bytes:
    """A legal file of about 1 kB with something in every kind of field."""
    row = np.array([1.5], np.float32)
    nodes = (Node("affine", "a", ("input",), {"m": row, "b": row}), Node("clamp", "c", ("a",), {"hi": 6.0}))
    return to_bytes(Program((1,), nodes, "c"), {"seed": 1})


def test_truncation_at_every_byte() -> None:
    data = smallest_bytes()
    for length in range(len(data)):
        with pytest.raises(ArtifactError) as caught:
            from_bytes(data[:length])
        assert caught.value.kind == "truncated"


def test_every_single_bit_flip() -> None:
    data = bytearray(smallest_bytes())
    for at in range(8 * len(data)):
        data[at // 8] ^= 1 << (at % 8)
        with pytest.raises(ArtifactError):
            from_bytes(data)
        data[at // 8] ^= 1 << (at % 8)


def test_growth_by_any_length() -> None:
    data = smallest_bytes()
    for length in (1, 2, 7, 8, 63, 64, 4096, 1 << 20):
        for filler in (b"\0", b" ", b"\xff"):
            with pytest.raises(ArtifactError) as caught:
                from_bytes(data + filler * length)
            assert caught.value.kind == "size"


@pytest.mark.parametrize("seed", range(10))
def test_unsigned_damage_is_always_refused(seed: int) -> None:
    rng, data = random.Random(seed), twin_bytes(seed)
    for _ in range(100):
        damaged = any_bytes(data, rng)
        if damaged != data:
            with pytest.raises(ArtifactError):
                from_bytes(damaged)


def test_signed_mutants_are_refused_or_say_what_they_are() -> None:
    files, legal = corpus(), 0
    for seed in range(100_000, 108_000):
        data = mutate(files, seed)
        try:
            program, metadata = from_bytes(data)
        except ArtifactError:
            continue
        legal += 1
        assert to_bytes(program, metadata) == data, seed
    # Some mutants are other legal files (another weight code, another scale); most are not.
    assert 400 < legal < 4000
