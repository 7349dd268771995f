"""Winograd's F(2x2, 3x3) and F(4x4, 3x3) on integers, on every level that has it, next to the NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt import _native
from kompakt.artifact import Program, Weight
from kompakt.artifact.write import to_bytes
from kompakt.encoding import Affine, Encoding, Planes, Table
from kompakt.engine import run_reference
from support import parts
from support.layers import layer_program
from support.programs import random_input, resnet_like_program

TWO_BIT = Affine(2, signed=True)


FAMILIES = ("winograd_u8s8", "winograd_s16")


def _assert_exact(
    program: Program,
    x: np.ndarray,
    threads: tuple[int, ...] = (1,),
    is_used: bool = True,
    families: tuple[str, ...] = FAMILIES,
) -> None:
    expected = run_reference(program, x)
    for isa in _native.isa_levels():
        for family in families:
            for count in threads:
                engine = _native.Engine(to_bytes(program), count, isa, family)
                used = any(row["kernel"].startswith(family) for row in engine.kernels())
                assert used or not is_used, engine.kernels()
                assert np.array_equal(engine.run(x), expected), f"isa {isa}, {family}, {count} threads"


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (7, 7), (9, 26), (3, 61)])
@pytest.mark.parametrize("padding", [(1, 1), (0, 2), (3, 0)])
def test_maps_that_tiles_do_not_divide(size: tuple[int, int], padding: tuple[int, int]) -> None:
    if size[0] + 2 * padding[0] < 3 or size[1] + 2 * padding[1] < 3:
        pytest.skip("no window fits")
    weight = parts.weight(np.random.default_rng(0), (19, 6, 3, 3), TWO_BIT)
    program = layer_program(weight, (6, *size), Affine(2), padding=padding)
    _assert_exact(program, random_input(program, 0), threads=(1, 2))


@pytest.mark.parametrize("inputs", [1, 3, 16, 20, 64, 65, 144])
@pytest.mark.parametrize("outputs", [1, 16, 33, 80])
def test_channels(inputs: int, outputs: int) -> None:
    weight = parts.weight(np.random.default_rng(inputs), (outputs, inputs, 3, 3), TWO_BIT)
    program = layer_program(weight, (inputs, 6, 9), Affine(2), padding=(1, 1))
    _assert_exact(program, random_input(program, 1))


@pytest.mark.parametrize(
    "weights", [Affine(1), Affine(3, signed=True), Table(2, np.array([[-14, -3, 9, 14]]))], ids=str
)
@pytest.mark.parametrize(
    "inputs",
    [Affine(5), Affine(4, signed=True), Planes(1, np.array([1], np.int16), "pm"), Table(2, np.array([[-7, 0, 2, 31]]))],
    ids=str,
)
@pytest.mark.parametrize("value", [1e9, -1e9, None])
def test_extreme_levels(weights: Encoding, inputs: Encoding, value: float | None) -> None:
    """Constant levels reach the ends of transformed sums, alternating ones the ends of differences."""
    rng = np.random.default_rng(3)
    for codes in (
        np.full((17, 40, 3, 3), (1 << weights.bits) - 1, np.uint8),
        (np.indices((17, 40, 3, 3)).sum(0) % 2 * ((1 << weights.bits) - 1)).astype(np.uint8),
        rng.integers(0, 1 << weights.bits, (17, 40, 3, 3)).astype(np.uint8),
    ):
        program = layer_program(Weight(codes, weights), (40, 7, 6), inputs, padding=(1, 1))
        pattern = np.where(np.indices((1, 40, 7, 6)).sum(0) % 2 == 0, 1e9, -1e9).astype(np.float32)
        # AVX2 may refuse: sums of two products must fit 16 bits there.
        _assert_exact(program, pattern if value is None else np.full((1, 40, 7, 6), value, np.float32), is_used=False)


@pytest.mark.parametrize("channels", [1, 2, 115, 116, 300])
@pytest.mark.parametrize(
    ("inputs", "value"),
    [
        (Affine(8), 1e9),
        (Affine(8), None),
        (Affine(8, signed=True), -1e9),
        (Affine(8, signed=True), None),
        (Table(1, np.array([[-55, 200]])), None),
    ],
    ids=str,
)
def test_largest_levels_in_parts(channels: int, inputs: Encoding, value: float | None) -> None:
    """64 times the sum of 116 channels of 9 products 255 x 127 exceeds int32: they are summed in parts."""
    shape = (17, channels, 3, 3)
    pattern = np.where(np.indices((1, channels, 6, 5)).sum(0) % 2 == 0, 1e9, -1e9).astype(np.float32)
    x = pattern if value is None else np.full((1, channels, 6, 5), value, np.float32)
    for sign in (1, -1):
        levels = np.full(shape, 127 * sign)
        levels[np.indices(shape).sum(0) % 2 == 1] *= 1 if value is not None else -1
        weight = Weight((levels & 255).astype(np.uint8), Affine(8, signed=True))
        program = layer_program(weight, (channels, 6, 5), inputs, padding=(1, 1))
        _assert_exact(program, x, families=("winograd_s16",))


@pytest.mark.parametrize(
    ("weights", "inputs", "attrs"),
    [
        (Affine(5, signed=True), Affine(2), {}),  # 16 x 9 exceeds 127
        (TWO_BIT, Affine(6), {}),  # 6 x 63 exceeds 255
        (TWO_BIT, Affine(2), {"stride": (2, 1)}),
        (TWO_BIT, Affine(2), {"dilation": (1, 2)}),
        (TWO_BIT, Affine(2), {"groups": 2}),
    ],
    ids=str,
)
def test_refused_where_it_would_not_be_exact(weights: Encoding, inputs: Encoding, attrs: dict[str, object]) -> None:
    shape = (8, 4 // int(str(attrs.get("groups", 1))), 3, 3)
    program = layer_program(parts.weight(np.random.default_rng(0), shape, weights), (4, 7, 8), inputs, **attrs)
    for isa in _native.isa_levels():
        _assert_refused(program, isa, "winograd_u8s8")
        if attrs:
            _assert_refused(program, isa, "winograd_s16")


def test_operands_that_are_no_bytes_are_refused() -> None:
    weight = parts.weight(np.random.default_rng(0), (2, 1, 3, 3), TWO_BIT)
    program = layer_program(weight, (1, 5, 5), Table(1, np.array([[-128, 255]])), padding=(1, 1))
    for isa in _native.isa_levels():
        _assert_refused(program, isa, "winograd_s16")


def _assert_refused(program: Program, isa: str, family: str) -> None:
    rows = _native.Engine(to_bytes(program), 1, isa, family).kernels()
    assert not any(row["kernel"].startswith(family) for row in rows)
    assert f"{family}: " in rows[0]["reason"]


@pytest.mark.parametrize("levels", [[-2, 1, 0, -1], [-8, 7, 3, -1], [-14, -3, 9, 14]], ids=str)
def test_many_weights_are_kept_as_levels_of_few_bits(levels: list[int]) -> None:
    """16 x 272 x 272 transformed weights are more than 2^20 bytes; their levels take 2, 4 or 8 bits."""
    weight = parts.weight(np.random.default_rng(6), (258, 269, 3, 3), Table(2, np.array([levels])))
    program = layer_program(weight, (269, 3, 5), Affine(2), padding=(1, 1))
    _assert_exact(program, random_input(program, 4, batch=2), threads=(1, 2), is_used=False)


@pytest.mark.parametrize(("family", "widest"), [("winograd_u8s8", 2048), ("winograd_s16", 1024)])
def test_refused_for_rows_too_long_for_a_tile(family: str, widest: int) -> None:
    weight = parts.weight(np.random.default_rng(0), (2, 1, 3, 3), TWO_BIT)
    for width, is_used in ((widest, True), (widest + 1, False)):
        program = layer_program(weight, (1, 1, width), Affine(2), padding=(1, 1))
        rows = _native.Engine(to_bytes(program), 1, "", family).kernels()
        assert rows[0]["kernel"].startswith(family) == is_used, rows


def test_batches_and_threads() -> None:
    program = resnet_like_program(4, widths=(16, 32), size=11)
    x = random_input(program, 2, batch=5)
    _assert_exact(program, x, threads=(1, 2, 5), is_used=False)
    weight = parts.weight(np.random.default_rng(5), (24, 16, 3, 3), TWO_BIT)
    program = layer_program(weight, (16, 15, 9), Affine(2), padding=(1, 1))
    _assert_exact(program, random_input(program, 3, batch=4), threads=(1, 3, 8))
