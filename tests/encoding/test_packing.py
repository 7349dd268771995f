"""Packing: against the bit layout of docs/format.md written as loops, and as its own inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kompakt._core.errors import ArtifactError
from kompakt.encoding import Affine, Encoding, Planes, Table, pack, packed_bytes, unpack

SHAPES = st.lists(st.integers(0, 7), min_size=1, max_size=4).map(tuple)


def make_encoding(kind: str, bits: int) -> Encoding:
    if kind == "planes":
        return Planes(bits, np.ones(bits, int))
    return Affine(bits) if kind == "affine" else Table(bits, np.zeros(1 << bits, int))


def pack_by_loops(codes: np.ndarray, encoding: Encoding) -> bytes:
    """One bit at a time, as the format page says it."""
    flat = codes.reshape(-1).tolist()
    data = bytearray(packed_bytes(len(flat), encoding))
    for n, code in enumerate(flat):
        for i in range(encoding.bits):
            at = (i * ((len(flat) + 7) // 8)) * 8 + n if isinstance(encoding, Planes) else n * encoding.bits + i
            data[at // 8] |= ((code >> i) & 1) << (at % 8)
    return bytes(data)


@given(SHAPES, st.integers(1, 8), st.sampled_from(["affine", "planes", "table"]), st.integers(0, 1000))
def test_round_trip(shape: tuple[int, ...], bits: int, kind: str, seed: int) -> None:
    encoding = make_encoding(kind, bits)
    codes = np.random.default_rng(seed).integers(0, 1 << bits, shape).astype(np.uint8)
    data = pack(codes, encoding)
    assert data == pack_by_loops(codes, encoding)
    assert len(data) == packed_bytes(math.prod(shape), encoding)
    again = unpack(data, shape, encoding)
    assert again.dtype == np.uint8
    assert again.shape == shape
    assert np.array_equal(again, codes)


def test_layout_by_hand() -> None:
    codes = np.array([1, 2, 3, 0, 1], np.uint8)
    assert pack(codes, Affine(2)) == bytes([0b00111001, 0b01])
    assert pack(codes, Planes(2, [1, 2])) == bytes([0b10101, 0b00110])
    assert pack(np.array([5, 7], np.uint8), Affine(3)) == bytes([0b111101])


def test_sizes() -> None:
    assert packed_bytes(0, Affine(3)) == 0
    assert packed_bytes(9, Affine(1)) == 2
    assert packed_bytes(9, Affine(3)) == 4
    assert packed_bytes(9, Planes(3, [1, 1, 1])) == 6


def test_strided_codes_pack_in_c_order() -> None:
    codes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert pack(codes.T, Affine(4)) == pack(np.ascontiguousarray(codes.T), Affine(4))


def test_a_code_with_too_many_bits_is_refused() -> None:
    with pytest.raises(ArtifactError, match="2 bits, got 4"):
        pack(np.array([0, 4], np.uint8), Affine(2))


@pytest.mark.parametrize("length", [0, 1, 3])
def test_a_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(ArtifactError, match="take 2 bytes") as caught:
        unpack(bytes(length), (5,), Affine(2))
    assert caught.value.kind == "section"


@pytest.mark.parametrize(("kind", "bits"), [("affine", 3), ("table", 5), ("planes", 2)])
def test_every_unused_bit_is_refused(kind: str, bits: int) -> None:
    encoding, count = make_encoding(kind, bits), 5
    size = packed_bytes(count, encoding)
    used = pack(np.full(count, (1 << bits) - 1, np.uint8), encoding)
    refused = 0
    for at in range(8 * size):
        data = bytearray(size)
        data[at // 8] |= 1 << (at % 8)
        if used[at // 8] >> (at % 8) & 1:
            assert unpack(bytes(data), (count,), encoding).any()
        else:
            refused += 1
            with pytest.raises(ArtifactError, match="unused bits") as caught:
                unpack(bytes(data), (count,), encoding)
            assert caught.value.kind == "value"
    assert refused == 8 * size - count * bits
