"""Sums to codes in one step: affine, residual, clamp and quantize, next to the NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt.artifact import Program
from kompakt.encoding import Affine, Encoding, Planes
from support import parts
from support.layers import assert_equal_to_reference
from support.programs import Builder, random_input

RESIDUALS = [
    "none", "float", Affine(1), Affine(3), Affine(8), Affine(4, signed=True), Affine(8, signed=True),
    Planes(3, np.array([1, 2, 5], np.int16), "pm"), Planes(4, np.array([1, 2, 5, 9], np.int16), "01"),
    Planes(6, np.array([1, 2, 4, 8, 16, 32], np.int16), "pm"),
]  # fmt: skip
TARGETS: list[Encoding] = [Affine(2), Affine(8), Affine(8, signed=True), Affine(5, signed=True)]


def _program(channels: int, residual: Encoding | str, target: Encoding, clamp: dict[str, float] | None) -> Program:
    builder = Builder(np.random.default_rng(channels), (channels, 5, 7))
    x = builder.add("quantize", "input", encoding=Affine(8, signed=True), inv_step=20.0)
    weight = parts.weight(builder.rng, (channels, channels, 1, 1), Affine(8, signed=True))
    x = builder.add("conv2d", x, weight=weight)
    m = builder.rng.normal(0, 1e-3, channels).astype(np.float32)
    x = builder.add("affine", x, m=m, b=builder.rng.normal(0, 1, channels).astype(np.float32))
    if residual == "float":
        x = builder.add("add", x, "input")
    elif isinstance(residual, Encoding):
        count = (1 << residual.bits) - 1
        thresholds = tuple(np.linspace(-2, 2, count, dtype=np.float32).tolist()) if count > 1 else (0.0,)
        codes = builder.add("encode", "input", encoding=residual, thresholds=thresholds, codes=tuple(range(count + 1)))
        x = builder.add("add", builder.add("dequantize", codes, scale=0.375), x)
    if clamp is not None:
        x = builder.add("clamp", x, **clamp)
    x = builder.add("quantize", x, encoding=target, inv_step=0.7998046875 * 2.0**target.bits / 4)
    return builder.finish(builder.add("dequantize", x, scale=1.0))


@pytest.mark.parametrize("residual", RESIDUALS, ids=str)
def test_residuals(residual: Encoding | str) -> None:
    for channels, target in zip((3, 16, 41, 64), TARGETS, strict=True):
        for clamp in (None, {}, {"lo": -1.0, "hi": 1.5}):
            program = _program(channels, residual, target, clamp)
            x = random_input(program, channels, batch=3)
            assert_equal_to_reference(program, x, threads=(1, 2) if channels == 16 else (1,))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.finfo(np.float32).max])
def test_extreme_residuals(value: float) -> None:
    program = _program(20, "float", Affine(8, signed=True), None)
    assert_equal_to_reference(program, np.full((1, 20, 5, 7), value, np.float32))


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_thresholds(bits: int) -> None:
    """All counts of thresholds, equal and constant ones among them, sums right at them."""
    builder = Builder(np.random.default_rng(bits), (1, 60, 9))
    x = builder.add("quantize", "input", encoding=Affine(8, signed=True), inv_step=1.0)
    x = builder.add("conv2d", x, weight=parts.weight(builder.rng, (200, 1, 1, 1), Affine(1)))
    rows, directions = parts.threshold_rows(builder.rng, 200, bits, 40.0)
    codes = tuple(range(1 << bits))
    x = builder.add("threshold", x, encoding=Affine(bits), thresholds=rows, directions=directions, codes=codes)
    program = builder.finish(x)
    every = np.arange(-270, 270, dtype=np.float32).reshape(1, 1, 60, 9)
    assert_equal_to_reference(program, every)
