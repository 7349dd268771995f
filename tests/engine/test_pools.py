"""Pools over codes and floats on every level, next to the NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt.encoding import Affine, Encoding, Planes, Table
from support.layers import assert_equal_to_reference
from support.programs import Builder, affine, random_input

ENCODINGS = [
    Affine(8), Affine(8, signed=True), Affine(2), Affine(3, signed=True),
    Planes(2, np.array([1, 2], np.int16), "pm"), Planes(2, np.array([2, 1], np.int16), "pm"),
    Planes(2, np.array([3, 3], np.int16), "01"), Table(2, np.array([[5, -7, 5, 0]])),
]  # fmt: skip
WINDOWS = [((3, 3), (2, 2), (1, 1)), ((9, 11), (1, 2), (4, 5)), ((2, 2), (2, 2), (0, 0))]  # 99 positions: two lots


@pytest.mark.parametrize("encoding", [*ENCODINGS, None], ids=str)
@pytest.mark.parametrize("op", ["max_pool", "sum_pool"])
def test_pools(op: str, encoding: Encoding | None) -> None:
    for channels in (3, 41):
        for kernel, stride, padding in WINDOWS:
            builder = Builder(np.random.default_rng(channels), (channels, 12, 13))
            x = "input" if encoding is None else _codes(builder, encoding)
            x = builder.add(op, x, kernel=kernel, stride=stride, padding=padding)
            x = builder.add("dequantize", x, scale=0.5) if builder.type(x).kind == "code" else affine(builder, x)
            program = builder.finish(x)
            assert_equal_to_reference(program, random_input(program, channels))


def _codes(builder: Builder, encoding: Encoding) -> str:
    count = (1 << encoding.bits) - 1
    thresholds = tuple(np.linspace(-3, 3, count).astype(np.float32).tolist())
    return builder.add("encode", "input", encoding=encoding, thresholds=thresholds, codes=tuple(range(count + 1)))


@pytest.mark.parametrize("op", ["max_pool", "sum_pool"])
def test_extreme_codes(op: str) -> None:
    for encoding in (Affine(8), Affine(8, signed=True)):
        builder = Builder(np.random.default_rng(0), (65, 14, 14))
        x = builder.add("quantize", "input", encoding=encoding, inv_step=1.0)
        x = builder.add(op, x, kernel=(14, 14))
        x = builder.add("dequantize", x, scale=1.0) if op == "max_pool" else affine(builder, x)
        program = builder.finish(x)
        for value in (1e9, -1e9):
            assert_equal_to_reference(program, np.full((2, 65, 14, 14), value, np.float32))
