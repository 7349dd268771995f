"""Depthwise convolutions on every level, next to the NumPy reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kompakt import _native
from kompakt.artifact import Weight
from kompakt.artifact.write import to_bytes
from kompakt.encoding import Affine, Encoding, Planes
from support import parts
from support.layers import assert_equal_to_reference, layer_program
from support.programs import random_input

EIGHT_BIT = Affine(8, signed=True)
WINDOWS: list[tuple[tuple[int, int], dict[str, Any]]] = [
    ((3, 3), {"padding": (1, 1)}),
    ((3, 3), {"padding": (1, 1), "stride": (2, 2)}),
    ((3, 3), {"padding": (2, 2), "dilation": (2, 2)}),
    ((3, 3), {"padding": (2, 2), "dilation": (2, 2), "stride": (1, 2)}),
    ((5, 5), {"padding": (2, 2)}),
    ((4, 7), {"padding": (0, 3), "stride": (3, 1)}),
    ((9, 1), {"padding": (4, 0)}),
    ((1, 1), {}),
]


@pytest.mark.parametrize(("kernel", "window"), WINDOWS, ids=str)
def test_windows(kernel: tuple[int, int], window: dict[str, Any]) -> None:
    weight = parts.weight(np.random.default_rng(0), (37, 1, *kernel), EIGHT_BIT)
    program = layer_program(weight, (37, 11, 9), Affine(8), groups=37, **window)
    used = assert_equal_to_reference(program, random_input(program, 0) * 60, threads=(1, 3))
    assert any(kernel.startswith("depthwise") for kernel in used)


@pytest.mark.parametrize("channels", [2, 16, 67])
@pytest.mark.parametrize("encoding", [Affine(8), EIGHT_BIT, Affine(4), Planes(2, np.array([2, 1], np.int16), "pm")])
def test_channels_and_extreme_levels(channels: int, encoding: Encoding) -> None:
    rng = np.random.default_rng(channels)
    for codes in (np.full((channels, 1, 3, 3), 127), np.full((channels, 1, 3, 3), 129), rng.integers(129, 384, 9)):
        weight = Weight(
            np.broadcast_to(codes.reshape(-1, 1, 3, 3) % 256, (channels, 1, 3, 3)).astype(np.uint8), EIGHT_BIT
        )
        program = layer_program(weight, (channels, 5, 6), encoding, groups=channels, padding=(1, 1))
        for value in (1e9, -1e9):
            assert_equal_to_reference(program, np.full((1, channels, 5, 6), value, np.float32))


def test_other_groups_take_another_kernel() -> None:
    for outputs, inputs, groups in ((12, 6, 6), (6, 12, 6), (1, 1, 1)):
        weight = parts.weight(np.random.default_rng(0), (outputs, inputs // groups, 3, 3), EIGHT_BIT)
        program = layer_program(weight, (inputs, 5, 5), Affine(8), groups=groups)
        for isa in _native.isa_levels():
            report = _native.Engine(to_bytes(program), 1, isa, "depthwise_u8s8").kernels()[0]
            assert not report["kernel"].startswith("depthwise")
            assert "not depthwise" in report["reason"]
