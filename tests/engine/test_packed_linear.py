"""Kernels on packed weights, for layers that read their map once, next to the NumPy reference: bit-equal."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt import _native
from kompakt.artifact import Program, Weight
from kompakt.artifact.write import to_bytes
from kompakt.encoding import Affine, Encoding, Planes, Table
from support import parts
from support.layers import assert_equal_to_reference, layer_program


def _check(program: Program, x: np.ndarray, threads: tuple[int, ...] = (1,)) -> None:
    used = assert_equal_to_reference(program, x, threads, families=("gemv",))
    assert all(kernel.startswith("gemv_") for kernel in used), used


def _inputs(shape: tuple[int, ...], batch: int, spread: float, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(0, spread, (batch, *shape)).astype(np.float32)
    x[0] = 1e9  # every code at its maximum
    x[-1] = -1e9  # and at its minimum
    return x


def _weight_encoding(rng: np.random.Generator, kind: str, bits: int, rows: int) -> Encoding:
    if kind == "affine":
        return Affine(bits, signed=bits == 8)
    if kind == "signed":
        return Affine(bits, signed=True)
    grains = rows if kind.endswith("rows") else 1
    if kind.startswith("table"):
        return Table(bits, rng.integers(-127, 128, (grains, 1 << bits)))
    return Planes(bits, parts.bounded_basis(rng, bits, grains, -127, 127), "pm")


@pytest.mark.parametrize("weight_bits", range(1, 9))
@pytest.mark.parametrize("bits", range(1, 9))
def test_every_pair_of_widths(weight_bits: int, bits: int) -> None:
    """More than a chunk of every layout (512 codes), a tail of whole vectors and one of single codes."""
    rng = np.random.default_rng(8 * weight_bits + bits)
    for kind in ("affine", "signed", "table", "table rows", "planes rows"):
        weight = parts.weight(rng, (6, 700), _weight_encoding(rng, kind, weight_bits, 6))
        program = layer_program(weight, (700,), Affine(bits, signed=kind == "table"))
        _check(program, _inputs((700,), 3, float(1 << bits) / 2))


@pytest.mark.parametrize(
    "encoding", [Planes(3, np.array([-90, 31, 6], np.int16), "pm"), Table(4, np.arange(-120, 120, 15))]
)
def test_activation_levels_that_are_no_codes(encoding: Encoding) -> None:
    rng = np.random.default_rng(0)
    for bits in range(1, 9):
        weight = parts.weight(rng, (5, 130), _weight_encoding(rng, "signed", bits, 5))
        _check(layer_program(weight, (130,), encoding), _inputs((130,), 3, 4.0))


@pytest.mark.parametrize("inputs", [1, 63, 64, 65, 128, 255, 257, 511, 513, 1025])
def test_inputs_that_do_not_fill_vectors_or_chunks(inputs: int) -> None:
    rng = np.random.default_rng(inputs)
    for bits in range(1, 9):
        weight = parts.weight(rng, (5, inputs), _weight_encoding(rng, "table rows", bits, 5))
        program = layer_program(weight, (inputs,), Affine(8))
        _check(program, _inputs((inputs,), 3, 100.0))


@pytest.mark.parametrize("outputs", [1, 3, 4, 15, 16, 17, 33, 1027])
def test_outputs_that_do_not_fill_quads_or_blocks(outputs: int) -> None:
    rng = np.random.default_rng(outputs)
    weight = parts.weight(rng, (outputs, 90), _weight_encoding(rng, "planes rows", 2, outputs))
    program = layer_program(weight, (90,), Affine(8))
    _check(program, _inputs((90,), 3, 100.0), threads=(1, 3))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 8])
def test_batches(bits: int) -> None:
    """Images share one pass over many weights; sizes that leave every remainder."""
    rng = np.random.default_rng(bits)
    weight = parts.weight(rng, (1100, 320), _weight_encoding(rng, "signed", bits, 1100))
    program = layer_program(weight, (320,), Affine(8))
    x = _inputs((320,), 19, 100.0)
    for batch in (*range(1, 9), 19):
        _check(program, x[-batch:])
    _check(program, x, threads=tuple(range(2, 9)))


@pytest.mark.parametrize(
    ("inputs", "outputs", "groups"), [(6, 6, 6), (12, 20, 4), (130, 34, 2), (640, 320, 8), (9, 27, 3)]
)
def test_block_diagonal(inputs: int, outputs: int, groups: int) -> None:
    rng = np.random.default_rng(groups)
    for bits in (1, 2, 3, 5, 8):
        for kind in ("signed", "table rows"):
            weight = parts.weight(rng, (outputs, inputs // groups, 1, 1), _weight_encoding(rng, kind, bits, outputs))
            for encoding in (Affine(8), Affine(4, signed=True)):
                program = layer_program(weight, (inputs, 1, 1), encoding, groups=groups)
                _check(program, _inputs((inputs, 1, 1), 5, 60.0), (1, 4))


def test_a_kernel_as_large_as_the_map() -> None:
    rng = np.random.default_rng(0)
    for bits in (2, 3, 7):
        weight = parts.weight(rng, (19, 5, 6, 4), _weight_encoding(rng, "table rows", bits, 19))
        program = layer_program(weight, (5, 6, 4), Affine(6))
        _check(program, _inputs((5, 6, 4), 5, 30.0))


@pytest.mark.parametrize("level", [127, 126, 65, 64, 33, 8, 1])
def test_largest_products(level: int) -> None:
    """Every way to keep 16-bit sums exact, at its limit: pairs of equal signs for as long as the matrix is."""
    for bits in (1, 2, 3, 4, 8):
        codes = np.zeros((4, 3000), np.uint8)
        codes[1::2] = 1
        weight = Weight(codes, Table(bits, np.resize(np.array([-level, level], np.int16), (1, 1 << bits))))
        for encoding in (Affine(8), Affine(8, signed=True), Affine(7), Table(1, np.array([-128, 127], np.int16))):
            program = layer_program(weight, (3000,), encoding)
            x = np.stack([np.full(3000, v, np.float32) for v in (1e9, -1e9, 1.0)])
            _check(program, x)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize("is_shared", [True, False])
def test_evenly_spaced_levels(bits: int, is_shared: bool) -> None:
    """Some levels multiply codes, not levels: the largest codes meet the largest operands."""
    low = np.array([[-127], [3], [-64], [0], [-3]])[: 1 if is_shared else 5]
    step = np.array([[254], [17], [127], [1], [0]])[: len(low)] // ((1 << bits) - 1)
    weight = Weight(np.full((5, 2100), (1 << bits) - 1, np.uint8), Table(bits, low + step * np.arange(1 << bits)))
    for encoding in (Affine(8), Affine(8, signed=True), Affine(2)):
        _check(layer_program(weight, (2100,), encoding), _inputs((2100,), 5, 1.0))
    mixed = parts.weight(np.random.default_rng(bits), (5, 2100), weight.encoding)
    _check(layer_program(mixed, (2100,), Affine(8)), _inputs((2100,), 5, 1.0))


def test_large_low_bit_matrices_stay_packed() -> None:
    """Left to its costs, the engine streams the packed codes of a matrix that no cache near the core holds."""
    weight = parts.weight(np.random.default_rng(0), (1024, 1024), Affine(2, signed=True))
    data = to_bytes(layer_program(weight, (1024,), Affine(8)))
    for isa in _native.isa_levels():
        (row,) = _native.Engine(data, 1, isa).kernels()
        assert row["kernel"].startswith(("gemv_", "lookup_", "planes_")), row  # all keep the file's bits
        assert row["reason"].startswith("cheapest of ")
        assert "gemv: " in row["reason"]
