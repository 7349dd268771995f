"""Limits, packed tails, digests and number forms, exhaustively, by both readers."""

from __future__ import annotations

import math
import struct
from random import Random

import numpy as np
import pytest

from kompakt.artifact import Node, Program, Weight, to_bytes
from kompakt.encoding import Affine, Encoding, Planes, Table
from support.boundaries import Boundary, boundaries, signed_file
from support.drafts import Draft, dump, padded
from support.readers import native_verdict, python_verdict


def assert_verdict(file: bytes, expected: str) -> None:
    assert (native_verdict(file), python_verdict(file)) == (expected, expected)


@pytest.mark.parametrize("case", boundaries(), ids=lambda case: case.name)
def test_boundary(case: Boundary) -> None:
    assert native_verdict(case.file) in case.expected
    assert python_verdict(case.file) in case.expected


@pytest.mark.slow
@pytest.mark.parametrize(("count", "expected"), [(65536, "OK"), (65537, "size")])
def test_number_of_nodes(count: int, expected: str) -> None:
    nodes = [{"in": [f"n{i - 1}" if i else "input"], "name": f"n{i}", "op": "clamp"} for i in range(count)]
    assert_verdict(signed_file(nodes, [1]), expected)


ENCODINGS: list[Encoding] = [
    *(Affine(bits) for bits in range(1, 8)),
    *(Affine(bits, signed=True) for bits in range(1, 8)),
    *(Planes(bits, np.arange(1, bits + 1)[None]) for bits in range(1, 9)),
    *(Table(bits, np.arange(1 << bits)[None] % 100) for bits in range(1, 9)),
]


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_every_unused_bit_of_packed_codes_must_be_zero(encoding: Encoding) -> None:
    for count in range(1, 18):
        program = Program(
            (count,),
            (Node("linear", "out", ("input",), {"weight": Weight(np.zeros((1, count), np.uint8), encoding)}),),
            "out",
        )
        draft = Draft(to_bytes(program))
        size, used = len(draft.sections["codes"]), count * encoding.bits
        is_planes = isinstance(encoding, Planes)
        assert size == (encoding.bits * math.ceil(count / 8) if is_planes else math.ceil(used / 8))
        for bit in range(8 * size):
            is_used = bit % (8 * math.ceil(count / 8)) < count if is_planes else bit < used
            draft.sections["codes"][bit // 8] |= 1 << bit % 8
            assert_verdict(draft.to_bytes(), "OK" if is_used else "value")
            draft.sections["codes"][bit // 8] = 0


def test_digests_of_every_length() -> None:
    """Section lengths around the blocks of SHA-256."""
    for count in range(1, 200):
        codes = Random(count).randbytes(count).replace(b"\x80", b"\x81")
        weight = {"bits": 8, "kind": "affine", "shape": [1, count], "signed": True}
        node = {"in": ["input"], "name": "out", "op": "linear", "weight": weight}
        file = signed_file([node], [count], codes=codes)
        assert native_verdict(file) == "OK", count


def test_floats_have_one_spelling() -> None:
    """The shortest decimal form of many doubles: every one that Python writes is accepted, none other is."""
    rng = Random(5)
    values = [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(20000)]
    values += [rng.uniform(-1, 1) * 10.0**exponent for exponent in range(-12, 25) for _ in range(20)]
    values += [float(10**exponent) for exponent in range(23)] + [10.0**-exponent for exponent in range(23)]
    values += [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.0, -0.0, 9007199254740993.0, 2.0**70]
    draft = Draft(to_bytes(Program((1,), (Node("clamp", "out", ("input",)),), "out")))
    draft.manifest["metadata"] = {f"{i:06}": value for i, value in enumerate(values) if math.isfinite(value)}
    assert native_verdict(draft.to_bytes()) == "OK"
    for value in rng.sample(values, 300):
        for spelling in (f"{value:.17e}", f"{value:.17g}", f"+{value!r}", f"0{value!r}", repr(value).upper()):
            if spelling != repr(value):
                draft.manifest["metadata"] = {"x": "@"}
                text = dump(draft.manifest).replace(b'"@"', spelling.encode())
                assert native_verdict(draft.with_manifest(padded(text))) == "manifest", spelling
