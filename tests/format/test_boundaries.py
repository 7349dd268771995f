"""Files on both sides of every limit: the last legal one is accepted, the next is refused, by both readers."""

from __future__ import annotations

import math
import struct
from random import Random
from typing import Any

import numpy as np
import pytest

from kompakt.artifact import Node, Program, Weight, to_bytes
from kompakt.encoding import Affine, Encoding, Planes, Table
from support.drafts import Draft, dump, padded
from support.readers import native_verdict, python_verdict

CLAMP = {"in": ["input"], "name": "out", "op": "clamp"}


def file_of(nodes: list[dict[str, Any]], shape: list[int], **sections: bytes) -> bytes:
    """A signed file of these nodes, checked by nobody; the last node is the output."""
    draft = Draft(to_bytes(Program((1,), (Node("clamp", "out", ("input",)),), "out")))
    draft.manifest.update(nodes=nodes, output=nodes[-1]["name"], input={"shape": shape})
    draft.sections.update({name: bytearray(content) for name, content in sections.items()})
    return draft.to_bytes()


def assert_verdict(file: bytes, expected: str) -> None:
    assert (native_verdict(file), python_verdict(file)) == (expected, expected)


def linear_file(weight: dict[str, Any], codes: bytes = b"", bases: bytes = b"") -> bytes:
    """A linear layer over float32, so that only the weight matters."""
    node = {"in": ["input"], "name": "out", "op": "linear", "weight": weight}
    return file_of([node], [weight["shape"][1]], codes=codes, bases=bases)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([1 << 24], "OK"),
        ([(1 << 24) + 1], "shape"),
        ([0], "shape"),
        ([1 << 24, 8, 8], "OK"),  # input and output: 2^31 elements
        ([1 << 24, 8, 9], "size"),
        ([1 << 24, 1 << 24, 1 << 16], "size"),  # 2^64 elements: 0 in 64 bits
        ([1 << 24, 1 << 24, 1 << 24], "size"),
        ([2, 2], "shape"),
        ([1, 1, 1, 1], "shape"),
        ([], "shape"),
    ],
)
def test_input_shape(shape: list[int], expected: str) -> None:
    assert_verdict(file_of([CLAMP], shape), expected)


@pytest.mark.parametrize(("width", "expected"), [(4096, "OK"), (4097, "shape")])
def test_kernel_of_a_convolution(width: int, expected: str) -> None:
    weight = {"bits": 1, "kind": "affine", "shape": [1, 1, 1, width]}
    node = {"in": ["input"], "name": "out", "op": "conv2d", "weight": weight}
    assert_verdict(file_of([node], [1, 1, width], codes=bytes(math.ceil(width / 8))), expected)


@pytest.mark.parametrize(
    "shape",
    [
        [1 << 24, 1 << 24, 1 << 12, 1 << 4],  # 2^64 elements: 0 in 64 bits
        [1 << 24, 1 << 24, 1 << 12, 1 << 12],
        [1 << 24, 1 << 16, 4096, 4096],
        [(1 << 24) - 1, (1 << 24) + 1, 1, 1],
        [1 << 24, 1 << 8, 1, 1],
    ],
)
@pytest.mark.parametrize("kind", ["affine", "planes", "table", "float"])
def test_products_of_dimensions_do_not_wrap(shape: list[int], kind: str) -> None:
    weight: dict[str, Any] = {"kind": kind, "shape": shape, **({} if kind == "float" else {"bits": 8})}
    node = {"in": ["input"], "name": "out", "op": "conv2d", "weight": weight}
    file = file_of([node], [1, 1, 1], bases=bytes(8))
    assert native_verdict(file) in ("size", "shape")
    assert python_verdict(file) in ("size", "shape")


@pytest.mark.parametrize(("count", "expected"), [(2, "OK"), (1024, "OK"), (1025, "node"), (1, "node"), (0, "node")])
def test_inputs_of_concat(count: int, expected: str) -> None:
    nodes = [{"in": ["input"] * count, "name": "out", "op": "concat"}]
    assert_verdict(file_of(nodes, [1]), expected)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "expected"), [(65536, "OK"), (65537, "size")])
def test_number_of_nodes(count: int, expected: str) -> None:
    nodes = [{"in": [f"n{i - 1}" if i else "input"], "name": f"n{i}", "op": "clamp"} for i in range(count)]
    assert_verdict(file_of(nodes, [1]), expected)


@pytest.mark.parametrize(("extra", "expected"), [(-1, "OK"), (0, "overflow_risk")])
def test_overflow_proof_is_exact(extra: int, expected: str) -> None:
    """sum |w| * 128 just below 2^31, and exactly 2^31, in the last of three channels, by negative weights."""
    total = (1 << 24) + extra
    count = math.ceil(total / 127)
    levels = np.zeros((3, count), np.int8)
    levels[2] = -127
    levels[2, 0] += 127 * count - total
    weight = {"bits": 8, "kind": "affine", "shape": [3, count], "signed": True}
    nodes = [
        {
            "encoding": {"bits": 8, "kind": "affine", "signed": True},
            "in": ["input"],
            "inv_step": 1.0,
            "name": "q",
            "op": "quantize",
        },
        {"in": ["q"], "name": "l", "op": "linear", "weight": weight},
        {"in": ["l"], "name": "out", "op": "affine"},
    ]
    assert_verdict(file_of(nodes, [count], codes=levels.tobytes(), floats=bytes(24)), expected)


@pytest.mark.parametrize(("width", "expected"), [(2047, "OK"), (4096, "OK"), (4097, "shape")])
def test_window_of_a_pool(width: int, expected: str) -> None:
    node = {"in": ["input"], "kernel": [1, width], "name": "out", "op": "max_pool"}
    assert_verdict(file_of([node], [1, 1, width]), expected)


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
        file = linear_file({"bits": 8, "kind": "affine", "shape": [1, count], "signed": True}, codes)
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
