"""Damaged files: refused, or (where the damage is signed) read as exactly what they say; never anything between."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kompakt._core.errors import ArtifactError
from kompakt.artifact import Node, Program, from_bytes, to_bytes
from support.mutations import damage, mutate_signed
from support.native import native_module, native_verdict, verdict
from support.programs import random_program
from support.twin import twin_bytes


def smallest_bytes() -> bytes:
    """A legal file of about 1 kB with something in every kind of field."""
    row = np.array([1.5], np.float32)
    nodes = (Node("affine", "a", ("input",), {"m": row, "b": row}), Node("clamp", "c", ("a",), {"hi": 6.0}))
    return to_bytes(Program((1,), nodes, "c"), {"seed": 1})


def mutants(count: int, seed: int, size_limit: int = 6000) -> list[bytes]:
    """Signed mutants of the twin and of small random programs."""
    rng = random.Random(seed)
    files = [twin_bytes(0), *(to_bytes(random_program(seed), {"a": 1}) for seed in range(40))]
    files = [data for data in files if len(data) < size_limit]
    return [mutate_signed(rng.choice(files), rng) for _ in range(count)]


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
        damaged = damage(data, rng)
        if damaged != data:
            with pytest.raises(ArtifactError):
                from_bytes(damaged)


def test_signed_mutants_are_refused_or_say_what_they_are() -> None:
    legal = 0
    for data in mutants(2000, seed=1):
        try:
            program, metadata = from_bytes(data)
        except ArtifactError:
            continue
        legal += 1
        assert to_bytes(program, metadata) == data
    # Some mutants are other legal files (another weight code, another scale); most are not.
    assert 50 < legal < 1000


def test_signed_mutants_get_one_verdict_from_both_readers() -> None:
    native_module()
    for data in mutants(2000, seed=2):
        python, native = verdict(data), native_verdict(data)
        assert (python == "legal") == (native == "legal"), (python, native)


def test_damage_gets_a_refusal_from_both_readers() -> None:
    native_module()
    rng, data = random.Random(3), smallest_bytes()
    for _ in range(500):
        damaged = damage(data, rng)
        assert damaged == data or native_verdict(damaged) != "legal"
    for length in range(len(data)):
        assert native_verdict(data[:length]) == "truncated"
