"""Encodings: levels of every code against the definition in docs/numerics.md, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kompakt._core.errors import ArtifactError
from kompakt.encoding import Affine, Planes, Table, levels
from support import parts


@pytest.mark.parametrize("bits", range(1, 9))
def test_affine_levels(bits: int) -> None:
    assert Affine(bits).table().tolist() == [list(range(1 << bits))]
    signed = [q if q < 1 << (bits - 1) else q - (1 << bits) for q in range(1 << bits)]
    assert Affine(bits, signed=True).table().tolist() == [signed]
    assert Affine(bits, signed=True).limits == (min(signed), max(signed))


@given(st.integers(0, 10_000), st.integers(1, 8), st.sampled_from(["pm", "01"]))
def test_planes_levels(seed: int, bits: int, digits: str) -> None:
    basis = parts.bounded_basis(np.random.default_rng(seed), bits, 3, -127, 127)
    table = Planes(bits, basis, digits).table()
    for grain in range(3):
        for code in range(1 << bits):
            level = 0
            for i in range(bits):
                bit = (code >> i) & 1
                level += int(basis[grain, i]) * (bit if digits == "01" else 2 * bit - 1)
            assert table[grain, code] == level


def test_planes_of_powers_of_two_are_affine() -> None:
    powers = 1 << np.arange(8)
    assert np.array_equal(Planes(8, powers, "01").table(), Affine(8).table())


def test_planes_of_plus_and_minus_are_symmetric() -> None:
    table = Planes(3, [1, 5, 11], "pm").table()[0]
    assert np.array_equal(table, -table[::-1])
    assert 0 not in table


def test_table_levels_are_its_own() -> None:
    assert levels(np.array([3, 0, 1]), Table(2, [0, -5, 7, 9])).tolist() == [9, 0, -5]


def test_levels_by_grain_along_any_axis() -> None:
    encoding = Planes(1, [[1], [10], [100]])
    codes = np.array([[0, 1], [1, 0], [1, 1]], np.uint8)
    assert levels(codes, encoding).tolist() == [[-1, 1], [10, -10], [100, 100]]
    assert np.array_equal(levels(codes.T, encoding, axis=1), levels(codes, encoding).T)
    assert levels(codes, encoding).dtype == np.int16


def test_levels_of_nothing() -> None:
    assert levels(np.zeros((0, 3), np.uint8), Affine(4)).shape == (0, 3)


def test_equal_content_is_equal() -> None:
    assert Planes(2, [1, 2]) == Planes(2, np.array([[1, 2]], np.int64))
    assert hash(Planes(2, [1, 2])) == hash(Planes(2, [[1, 2]]))
    assert Planes(2, [1, 2]) != Planes(2, [1, 2], "01")
    assert Planes(2, [1, 2]) != Planes(2, [2, 1])
    assert Table(1, [0, 1]) == Table(1, [[0, 1]])
    assert Table(1, [0, 1]) != Affine(1)
    assert Affine(3) != Affine(3, signed=True)


def test_arrays_are_copied_and_read_only() -> None:
    basis = np.array([[1, 2]], np.int16)
    encoding = Planes(2, basis)
    basis[0, 0] = 7
    assert encoding.basis[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        encoding.basis[0, 0] = 7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Affine(0), "bits must be an integer in 1..8, got 0"),
        (lambda: Affine(9), "got 9"),
        (lambda: Affine(True), "got True"),
        (lambda: Affine(2.0), "got 2.0"),
        (lambda: Planes("2", [1, 2]), "got '2'"),
        (lambda: Planes(2, [1, 2], "+-"), "digits must be 'pm' or '01'"),
        (lambda: Planes(2, [1, 2, 3]), r"shape \(grains, 2\)"),
        (lambda: Planes(2, [1.0, 2.0]), "must be integers"),
        (lambda: Planes(2, np.zeros((0, 2), int)), r"\(0, 2\)"),
        (lambda: Planes(2, [[1, 2], [0, 0]]), "grain 1 is all zero"),
        (lambda: Planes(2, [200, 100], "01"), r"\[-128, 255\]"),
        (lambda: Planes(2, [100, 100], "pm"), r"\[-128, 255\]"),
        (lambda: Table(2, [0, 1, 2]), r"shape \(grains, 4\)"),
        (lambda: Table(1, [0, 256]), r"\[-128, 255\], got 0..256"),
        (lambda: Table(1, [-129, 0]), r"got -129..0"),
        (lambda: Table(1, [0, 1 << 40]), r"\[-128, 255\]"),
    ],
)
def test_refused(make: object, message: str) -> None:
    with pytest.raises(ArtifactError, match=message) as caught:
        make()  # type: ignore[operator]
    assert caught.value.kind == "encoding"


def test_codes_beyond_the_bits_are_refused() -> None:
    with pytest.raises(ArtifactError, match=r"0\.\.3, got 0\.\.4"):
        levels(np.array([0, 4]), Affine(2))


def test_grains_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ArtifactError, match="2 grains") as caught:
        levels(np.zeros((3, 2), np.uint8), Table(1, [[0, 1], [2, 3]]))
    assert caught.value.kind == "shape"
