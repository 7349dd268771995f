"""Layers whose kernels make codes in registers, and codes that are stored in the next layer's frame."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt.artifact import Program, Weight
from kompakt.encoding import Affine, Encoding, Planes
from support import parts
from support.layers import assert_equal_to_reference, layer_program
from support.programs import Builder, random_input

SIGNED = Affine(8, signed=True)


def _codes(builder: Builder, x: str, encoding: Encoding, clamp: dict[str, float] | None = None) -> str:
    """affine, clamp, quantize: values of a few units, some beyond the codes."""
    channels = builder.shape(x)[0]
    m = builder.rng.normal(0, 2e-3, channels).astype(np.float32)
    x = builder.add("affine", x, m=m, b=builder.rng.normal(0, 1, channels).astype(np.float32))
    if clamp is not None:
        x = builder.add("clamp", x, **clamp)
    return builder.add("quantize", x, encoding=encoding, inv_step=0.3125 * 2.0**encoding.bits)


def _inverted_residual(
    size: tuple[int, int, int], hidden: int, window: dict[str, tuple[int, int]], kernel: tuple[int, int], bits: int
) -> Program:
    """1x1, depthwise, 1x1, a sum where shapes agree."""
    channels = size[0]
    builder = Builder(np.random.default_rng(hidden), size)
    x = builder.add("quantize", "input", encoding=SIGNED, inv_step=20.0)
    encoding = Affine(bits)
    y = builder.add("conv2d", x, weight=parts.weight(builder.rng, (hidden, channels, 1, 1), SIGNED))
    y = _codes(builder, y, encoding, {"lo": 0.0, "hi": 2.0})
    weight = parts.weight(builder.rng, (hidden, 1, *kernel), SIGNED)
    y = builder.add("conv2d", y, weight=weight, groups=hidden, **window)
    y = _codes(builder, y, encoding, {"lo": 0.25, "hi": 6.0})
    y = builder.add("conv2d", y, weight=parts.weight(builder.rng, (channels, hidden, 1, 1), Affine(4, signed=True)))
    if builder.shape(y) == builder.shape(x):
        m = builder.rng.normal(0, 1e-3, channels).astype(np.float32)
        y = builder.add("affine", y, m=m, b=np.zeros(channels, np.float32))
        y = builder.add("add", builder.add("dequantize", x, scale=0.03125), y)
        y = builder.add("quantize", y, encoding=Affine(bits, signed=True), inv_step=10.0)
    else:
        y = _codes(builder, y, Affine(bits, signed=True))
    return builder.finish(builder.add("dequantize", y, scale=0.5))


WINDOWS = [
    ({"padding": (1, 1)}, (3, 3)),
    ({"padding": (1, 1), "stride": (2, 2)}, (3, 3)),
    ({"padding": (2, 2), "dilation": (2, 2)}, (3, 3)),
    ({"padding": (2, 2), "stride": (2, 2)}, (5, 5)),
    ({"padding": (0, 1), "stride": (2, 3)}, (2, 3)),
]


@pytest.mark.parametrize(("window", "kernel"), WINDOWS, ids=str)
def test_inverted_residuals(window: dict[str, tuple[int, int]], kernel: tuple[int, int]) -> None:
    for (height, width), channels, hidden, bits in (((9, 11), 24, 40, 8), ((6, 7), 16, 64, 8), ((5, 5), 19, 67, 5)):
        program = _inverted_residual((channels, height, width), hidden, window, kernel, bits)
        x = random_input(program, hidden, batch=2)
        assert_equal_to_reference(program, x, threads=(1, 3), families=("", "dot_s16"))


@pytest.mark.parametrize("outputs", [8, 16, 40, 64, 100])
@pytest.mark.parametrize("pixels", [1, 2, 3, 5, 7, 26, 129])
def test_tails(outputs: int, pixels: int) -> None:
    """All tiles of pixels and blocks; grouped layers, whose blocks are called one by one."""
    for groups in (1, 4):
        builder = Builder(np.random.default_rng(pixels), (20, 1, pixels))
        x = builder.add("quantize", "input", encoding=Affine(8), inv_step=40.0)
        weight = parts.weight(builder.rng, (outputs, 20 // groups, 1, 1), SIGNED)
        x = _codes(builder, builder.add("conv2d", x, weight=weight, groups=groups), Affine(8))
        program = builder.finish(builder.add("dequantize", x, scale=1.0))
        assert_equal_to_reference(program, random_input(program, outputs), families=("", "dot_u8s8", "dot_s16"))


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e30])
def test_sums_that_leave_int32_when_scaled(scale: float) -> None:
    """Codes saturate, whatever the multiplier is."""
    builder = Builder(np.random.default_rng(1), (16, 3, 5))
    x = builder.add("quantize", "input", encoding=SIGNED, inv_step=20.0)
    x = builder.add("conv2d", x, weight=parts.weight(builder.rng, (32, 16, 1, 1), SIGNED))
    m = (builder.rng.normal(0, 1, 32) * scale).astype(np.float32)
    x = builder.add("affine", x, m=m, b=np.full(32, scale, np.float32))
    x = builder.add("quantize", x, encoding=Affine(8), inv_step=1.0)
    program = builder.finish(builder.add("dequantize", x, scale=1.0))
    assert_equal_to_reference(program, random_input(program, 2))


def test_a_value_with_two_readers_is_in_no_frame() -> None:
    builder = Builder(np.random.default_rng(3), (16, 6, 6))
    x = builder.add("quantize", "input", encoding=Affine(8), inv_step=40.0)
    x = builder.add("conv2d", x, weight=parts.weight(builder.rng, (16, 16, 1, 1), SIGNED))
    x = _codes(builder, x, Affine(8))
    weight = parts.weight(builder.rng, (16, 1, 3, 3), SIGNED)
    y = builder.add("conv2d", x, weight=weight, groups=16, padding=(1, 1))
    y = _codes(builder, y, Affine(8))
    y = builder.add("add", builder.add("dequantize", x, scale=0.125), builder.add("dequantize", y, scale=0.25))
    program = builder.finish(y)
    assert_equal_to_reference(program, random_input(program, 4, batch=3), threads=(1, 2))


def test_padding_may_be_the_largest_operand() -> None:
    """Levels all below zero: the padding's level 0 counts in the bound of 16-bit sums."""
    encoding = Planes(2, np.array([-100, -28], np.int16), "01")
    weight = Weight(np.full((16, 40, 3, 3), 1, np.uint8), Planes(1, np.array([60], np.int16), "pm"))
    program = layer_program(weight, (40, 4, 4), encoding, padding=(2, 2))
    for value in (1e9, -1e9):
        assert_equal_to_reference(program, np.full((1, 40, 4, 4), value, np.float32))
