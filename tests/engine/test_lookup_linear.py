"""Look-ups in tables of sums of inputs, for layers that read their map once, next to the NumPy reference: bit-equal."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt import _native
from kompakt.artifact import Program, Weight
from kompakt.artifact.write import to_bytes
from kompakt.encoding import Affine, Encoding, Planes, Table
from support import parts
from support.layers import assert_equal_to_reference, layer_program

LEVELS = [isa for isa in _native.isa_levels() if isa not in ("portable", "neon", "dotprod")]


def _check(program: Program, x: np.ndarray, threads: tuple[int, ...] = (1,)) -> None:
    used = assert_equal_to_reference(program, x, threads, families=("lookup",))
    assert not LEVELS or any(kernel.startswith("lookup_") for kernel in used), used


def _inputs(size: int, batch: int, spread: float = 100.0) -> np.ndarray:
    x = np.random.default_rng(size).normal(0, spread, (batch, size)).astype(np.float32)
    x[0] = 1e9  # every code at its maximum
    x[-1] = -1e9  # and at its minimum
    return x


def _encodings(rng: np.random.Generator, bits: int, rows: int) -> list[Encoding]:
    return [
        Affine(bits, signed=True),
        Affine(bits, signed=False),
        Planes(bits, parts.bounded_basis(rng, bits, rows, -127, 127), "pm"),
        Table(bits, rng.integers(-127, 128, (1, 1 << bits))),
        Table(bits, rng.integers(-127, 128, (rows, 1 << bits))),
    ]


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize("input_bits", [1, 5, 8])
def test_every_kind_of_levels(bits: int, input_bits: int) -> None:
    """Levels of any kind are sums over planes; products of bits appear where they are not sums of bits."""
    rng = np.random.default_rng(8 * bits + input_bits)
    for encoding in _encodings(rng, bits, 9):
        weight = parts.weight(rng, (9, 150), encoding)
        for signed in (True, False):
            _check(layer_program(weight, (150,), Affine(input_bits, signed=signed)), _inputs(150, 3, 2.0**input_bits))


@pytest.mark.parametrize("inputs", [1, 6, 7, 8, 55, 56, 57, 64, 449, 1025, 1200])
def test_inputs_that_do_not_fill_bytes_steps_or_parts(inputs: int) -> None:
    rng = np.random.default_rng(inputs)
    weight = parts.weight(rng, (5, inputs), Affine(2, signed=True))
    _check(layer_program(weight, (inputs,), Affine(8)), _inputs(inputs, 3))


@pytest.mark.parametrize("outputs", [1, 15, 16, 33, 64, 129, 300, 2100])
def test_outputs_that_do_not_fill_units_or_tiles(outputs: int) -> None:
    rng = np.random.default_rng(outputs)
    weight = parts.weight(rng, (outputs, 40), Affine(1, signed=False))
    _check(layer_program(weight, (40,), Affine(8)), _inputs(40, 3), threads=(1, 2, 5))


def test_batches() -> None:
    rng = np.random.default_rng(0)
    weight = parts.weight(rng, (270, 130), Affine(2, signed=True))
    x = _inputs(130, 40)
    for batch in (1, 2, 3, 7, 8, 9, 40):
        _check(layer_program(weight, (130,), Affine(8)), x[-batch:], threads=(1, 3))


def test_largest_sums() -> None:
    """Every bit set, every input at its maximum, for more than a part: sums of bytes and of 16 bits at their limits."""
    for encoding in (Affine(1, signed=False), Affine(3, signed=False), Table(2, np.array([[127, -127, -127, 127]]))):
        weight = Weight(np.full((3, 5000), (1 << encoding.bits) - 1, np.uint8), encoding)
        _check(layer_program(weight, (5000,), Affine(8)), _inputs(5000, 2))


def test_a_kernel_as_large_as_the_map() -> None:
    rng = np.random.default_rng(0)
    weight = parts.weight(rng, (19, 5, 6, 4), Affine(2, signed=True))
    x = _inputs(120, 3, 30.0).reshape(3, 5, 6, 4)
    _check(layer_program(weight, (5, 6, 4), Affine(6)), x)


def test_activation_levels_that_are_no_codes() -> None:
    rng = np.random.default_rng(0)
    weight = parts.weight(rng, (5, 130), Affine(2, signed=True))
    for encoding in (Planes(3, np.array([-90, 31, 6], np.int16), "pm"), Table(4, np.arange(-120, 120, 15))):
        _check(layer_program(weight, (130,), encoding), _inputs(130, 3, 4.0))


def test_one_bit_matrices_are_looked_up() -> None:
    """Left to its costs, the engine looks up what a large matrix of few bits would otherwise multiply."""
    weight = parts.weight(np.random.default_rng(0), (1024, 1024), Affine(1, signed=True))
    data = to_bytes(layer_program(weight, (1024,), Affine(8)))
    for isa in LEVELS:
        (row,) = _native.Engine(data, 1, isa).kernels()
        assert row["kernel"].startswith("lookup_"), row


def test_grouped_layers_and_wide_weights_say_why_not() -> None:
    rng = np.random.default_rng(0)
    grouped = layer_program(parts.weight(rng, (8, 4, 1, 1), Affine(1)), (8, 1, 1), Affine(8), groups=2)
    wide = layer_program(parts.weight(rng, (8, 8), Affine(5)), (8,), Affine(8))
    for program, reason in ((grouped, "lookup: grouped"), (wide, "lookup: weights have more than 4")):
        for isa in LEVELS:
            (row,) = _native.Engine(to_bytes(program), 1, isa).kernels()
            assert reason in row["reason"], row
