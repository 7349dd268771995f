"""Every kernel of every level this CPU has, next to the NumPy reference: bit-equal."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt import _native
from kompakt.artifact import FloatWeight, Weight
from kompakt.encoding import Affine, Encoding, Planes, Table
from support import parts
from support.layers import assert_equal_to_reference, layer_program

ODD_CHANNELS = (1, 3, 17, 63, 64, 65, 130)
TWO_BIT = Planes(2, np.array([3, 1], np.int16), "pm")


def _inputs(shape: tuple[int, ...], batch: int, spread: float, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(0, spread, (batch, *shape)).astype(np.float32)
    x[0] = 1e9  # every code at its maximum
    x[-1] = -1e9  # and at its minimum
    return x


@pytest.mark.parametrize("channels", ODD_CHANNELS)
def test_input_channels_that_do_not_fill_vectors(channels: int) -> None:
    rng = np.random.default_rng(channels)
    weight = parts.weight(rng, (19, channels, 3, 3), TWO_BIT)
    program = layer_program(weight, (channels, 5, 6), Affine(2), padding=(1, 1))
    assert_equal_to_reference(program, _inputs((channels, 5, 6), 3, 2.0))


@pytest.mark.parametrize("channels", ODD_CHANNELS)
def test_output_channels_that_do_not_fill_blocks(channels: int) -> None:
    rng = np.random.default_rng(channels)
    weight = parts.weight(rng, (channels, 7, 3, 2), Affine(4, signed=True))
    program = layer_program(weight, (7, 6, 5), Affine(4), padding=(1, 0))
    assert_equal_to_reference(program, _inputs((7, 6, 5), 3, 8.0))


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("kind", ["affine", "signed", "pm", "01", "table"])
def test_activation_encodings(bits: int, kind: str) -> None:
    rng = np.random.default_rng(bits)
    encoding = _encoding(rng, kind, bits)
    weight = parts.weight(rng, (18, 5, 2, 3), TWO_BIT)
    program = layer_program(weight, (5, 6, 6), encoding, padding=(1, 2), stride=(2, 1))
    assert_equal_to_reference(program, _inputs((5, 6, 6), 3, float(1 << bits) / 2))


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("kind", ["signed", "pm", "01", "table"])
def test_weight_encodings(bits: int, kind: str) -> None:
    rng = np.random.default_rng(bits)
    encoding = _encoding(rng, kind, bits, grains=18, low=-127, high=127)
    program = layer_program(parts.weight(rng, (18, 40), encoding), (40,), Affine(3))
    assert_equal_to_reference(program, _inputs((40,), 9, 4.0))


def _encoding(
    rng: np.random.Generator, kind: str, bits: int, grains: int = 1, low: int = -128, high: int = 255
) -> Encoding:
    if kind in ("affine", "signed"):
        return Affine(bits, signed=kind == "signed")
    if kind == "table":
        return Table(bits, rng.integers(low, high + 1, (grains, 1 << bits)))
    return Planes(bits, parts.bounded_basis(rng, bits, grains, low, min(high, -low) if kind == "pm" else high), kind)


@pytest.mark.parametrize("digits", ["pm", "01"])
def test_binary_activations_without_a_zero(digits: str) -> None:
    weight = parts.weight(np.random.default_rng(1), (20, 70, 3, 3), Planes(1, np.array([1], np.int16), "pm"))
    encoding = Planes(1, np.array([1], np.int16), digits)
    for padding in ((0, 0), (1, 1)):
        program = layer_program(weight, (70, 5, 5), encoding, padding=padding)
        assert_equal_to_reference(program, _inputs((70, 5, 5), 3, 1.0))


WINDOWS = [
    {"stride": (2, 2), "padding": (1, 1)},
    {"stride": (3, 1), "padding": (2, 0)},
    {"dilation": (2, 2), "padding": (2, 2)},
    {"dilation": (1, 3), "padding": (0, 3), "stride": (1, 2)},
    {"padding": (5, 4)},
    {"stride": (7, 7), "padding": (1, 1)},
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_windows(window: dict[str, tuple[int, int]]) -> None:
    rng = np.random.default_rng(5)
    x = _inputs((9, 8, 7), 3, 2.0)
    weight = parts.weight(rng, (21, 9, 3, 3), TWO_BIT)
    assert_equal_to_reference(layer_program(weight, (9, 8, 7), Affine(3), **window), x)
    # Digits +-1: padding has no code of its own.
    pm = Planes(3, np.array([4, 2, 1], np.int16), "pm")
    assert_equal_to_reference(layer_program(weight, (9, 8, 7), pm, **window), x)
    assert_equal_to_reference(layer_program(parts.float_weight(rng, (21, 9, 3, 3)), (9, 8, 7), None, **window), x)


@pytest.mark.parametrize(
    ("inputs", "outputs", "groups"), [(6, 6, 6), (6, 12, 6), (65, 65, 65), (12, 20, 4), (34, 66, 2), (96, 48, 3)]
)
def test_groups(inputs: int, outputs: int, groups: int) -> None:
    rng = np.random.default_rng(groups)
    shape = (outputs, inputs // groups, 3, 3)
    x = _inputs((inputs, 5, 4), 3, 2.0)
    options = {"groups": groups, "padding": (1, 1)}
    assert_equal_to_reference(layer_program(parts.weight(rng, shape, TWO_BIT), (inputs, 5, 4), Affine(2), **options), x)
    assert_equal_to_reference(
        layer_program(parts.weight(rng, shape), (inputs, 5, 4), Affine(8, signed=True), **options), x
    )
    assert_equal_to_reference(layer_program(parts.float_weight(rng, shape), (inputs, 5, 4), None, **options), x)


@pytest.mark.parametrize("width", [1, 3, 4, 15, 16, 17, 31, 32, 33, 48, 65])
def test_pixels_that_do_not_fill_tiles(width: int) -> None:
    """Rows of neighbours and rows with gaps, taps that fill whole steps (64 bytes) and taps that do not."""
    rng = np.random.default_rng(width)
    for channels, outputs, stride in ((64, 33, 1), (16, 16, 2), (24, 48, 1)):
        shape = (channels, 2, stride * width)
        weight = parts.weight(rng, (outputs, channels, 2, 1), Affine(8, signed=True))
        program = layer_program(weight, shape, Affine(8), stride=(1, stride), padding=(1, 0))
        assert_equal_to_reference(program, _inputs(shape, 2, 64.0))


@pytest.mark.parametrize("level", [127, -127])
@pytest.mark.parametrize(
    "encoding", [Affine(8), Affine(8, signed=True), Affine(7), Table(1, np.array([-128, 255], np.int16))], ids=str
)
def test_largest_products(encoding: Encoding, level: int) -> None:
    """255 x 127 everywhere: 16-bit sums would saturate."""
    weight = Weight(np.full((17, 64, 3, 3), level & 255, np.uint8), Affine(8, signed=True))
    program = layer_program(weight, (64, 4, 4), encoding, padding=(1, 1))
    x = np.stack([np.full((64, 4, 4), v, np.float32) for v in (1e9, -1e9, 1.0)])
    assert_equal_to_reference(program, x)


def test_many_small_products_reach_the_limit_of_narrow_sums() -> None:
    """Sums of 16-bit lanes must be widened in time: 3 x 127 x 2 fits 43 times."""
    for levels, bits in ((127, 2), (127, 3), (3, 4), (1, 8)):
        codes = np.full((16, 3000), 1, np.uint8)
        weight = Weight(codes, Table(1, np.array([-levels, levels], np.int16)))
        program = layer_program(weight, (3000,), Affine(bits))
        assert_equal_to_reference(program, np.full((2, 3000), 1e6, np.float32))


def test_float_layers_keep_infinities_subnormals_and_their_order() -> None:
    rng = np.random.default_rng(2)
    weight = FloatWeight(
        (rng.standard_normal((33, 6, 3, 3)) * 10.0 ** rng.integers(-20, 20, (33, 6, 3, 3))).astype(np.float32)
    )
    x = (rng.standard_normal((4, 6, 5, 5)) * 10.0 ** rng.integers(-25, 18, (4, 6, 5, 5))).astype(np.float32)
    x[1, 0, 2, 2], x[2, 3, 1, 1] = np.inf, -np.inf
    program = layer_program(weight, (6, 5, 5), None, padding=(1, 1))
    assert_equal_to_reference(program, x)


def test_float_layers_with_integer_weights_and_linear() -> None:
    rng = np.random.default_rng(3)
    for shape in ((5, 33), (130, 17), (1, 1)):
        x = rng.standard_normal((9, shape[1])).astype(np.float32)
        assert_equal_to_reference(layer_program(parts.weight(rng, shape, TWO_BIT), (shape[1],), None), x)


def test_every_kernel_of_this_cpu_is_used_by_these_tests() -> None:
    rng = np.random.default_rng(4)
    weight = parts.weight(rng, (8, 4, 3, 3), TWO_BIT)
    used = assert_equal_to_reference(layer_program(weight, (4, 5, 5), Affine(2)), _inputs((4, 5, 5), 2, 2.0))
    linear = layer_program(parts.weight(rng, (8, 4), TWO_BIT), (4,), Affine(2))
    used |= assert_equal_to_reference(linear, _inputs((4,), 2, 2.0))
    floats = layer_program(parts.float_weight(rng, (8, 4, 3, 3)), (4, 5, 5), None)
    used |= assert_equal_to_reference(floats, _inputs((4, 5, 5), 2, 2.0))
    depthwise = parts.weight(rng, (4, 1, 3, 3), TWO_BIT)
    used |= assert_equal_to_reference(
        layer_program(depthwise, (4, 5, 5), Affine(2), groups=4), _inputs((4, 5, 5), 2, 2.0)
    )
    levels = _native.isa_levels()
    assert used == {row["kernel"] for row in _native.kernel_table() if row["isa"] in levels}
