"""The reference against scalar loops: sums of products, pools, and operators that move data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kompakt.artifact import FloatWeight, Program, Weight
from kompakt.encoding import Affine, Planes, Table, levels
from kompakt.engine.reference import run_all
from support import parts
from support.nodes import SEEDS, affine_of, codes_of, f32, floats, node, values


def positions(attrs: dict[str, Any], kernel: tuple[int, int], size: tuple[int, int]) -> Iterator[Any]:
    """Every output position, and for each the (kh, kw, row, column) it reads; row None where that is padding."""
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, attrs["dilation"], strict=True)]
    last = [n + p - e for n, p, e in zip(size, attrs["padding"], extent, strict=True)]
    for oh, top in enumerate(range(-attrs["padding"][0], last[0] + 1, attrs["stride"][0])):
        for ow, left in enumerate(range(-attrs["padding"][1], last[1] + 1, attrs["stride"][1])):
            reads = []
            for kh in range(kernel[0]):
                for kw in range(kernel[1]):
                    h, w = top + kh * attrs["dilation"][0], left + kw * attrs["dilation"][1]
                    inside = 0 <= h < size[0] and 0 <= w < size[1]
                    reads.append((kh, kw, h if inside else None, w))
            yield oh, ow, reads


def conv_by_loops(x: np.ndarray, weight: np.ndarray, attrs: dict[str, Any], number: Any) -> dict[tuple[int, ...], Any]:
    """x (C, H, W), weight (O, I, KH, KW): sums in the order (i, kh, kw), with numbers of type `number`."""
    sums = {}
    outputs, group_inputs = weight.shape[:2]
    for o in range(outputs):
        base = o // (outputs // attrs["groups"]) * group_inputs
        for oh, ow, reads in positions(attrs, weight.shape[2:], x.shape[1:]):
            total = number(0)
            for i in range(group_inputs):
                for kh, kw, h, w in reads:
                    value = number(0) if h is None else number(x[base + i, h, w])
                    total = number(total + number(value * number(weight[o, i, kh, kw])))
            sums[o, oh, ow] = total
    return sums


def random_conv(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    """Shape of the map, shape of the weight, attributes: small, and every combination of geometry."""
    groups, group_inputs = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    kernel, stride, dilation = (tuple(rng.integers(1, 4, 2).tolist()) for _ in range(3))
    padding = tuple(rng.integers(0, 4, 2).tolist())
    size = tuple(
        max(1, d * (k - 1) + 1 - 2 * p) + int(rng.integers(0, 3))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (groups * group_inputs, *size), (groups * int(rng.integers(1, 3)), group_inputs, *kernel), attrs


@given(SEEDS)
def test_conv2d_over_codes_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, weight_shape, attrs = random_conv(rng)
    encoding = parts.activation_encoding(rng)
    weight = parts.weight(rng, weight_shape)
    first, _ = codes_of(encoding, 1)
    x = rng.integers(0, 1 << encoding.bits, (2, *shape))
    made = Program(
        shape,
        (first, node("conv2d", "encode", weight=weight, **attrs), affine_of("conv2d", weight_shape[0])),
        "affine",
    )
    got = run_all(made, x.astype(f32))["conv2d"]
    assert got.dtype == np.int32
    for n in range(2):
        expected = conv_by_loops(levels(x[n], encoding), weight.levels(), attrs, int)
        assert {key: got[(n, *key)] for key in np.ndindex(got.shape[1:])} == expected


@given(SEEDS, st.booleans())
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_conv2d_over_floats_adds_in_order(seed: int, is_packed: bool) -> None:
    rng = np.random.default_rng(seed)
    shape, weight_shape, attrs = random_conv(rng)
    weight = parts.weight(rng, weight_shape) if is_packed else parts.float_weight(rng, weight_shape)
    # Magnitudes over many decades: another order gives other sums.
    x = (rng.standard_normal((1, *shape)) * 10.0 ** rng.integers(-6, 7, (1, *shape))).astype(f32)
    got = values(x, node("conv2d", weight=weight, **attrs))["conv2d"]
    assert got.dtype == f32
    expected = conv_by_loops(x[0], weight.levels(), attrs, f32)
    assert {key: got[(0, *key)].tobytes() for key in np.ndindex(got.shape[1:])} == {
        key: total.tobytes() for key, total in expected.items()
    }


@given(SEEDS)
def test_linear_is_a_dot_product(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, outputs = rng.integers(1, 70, 2).tolist()
    encoding, weight = parts.activation_encoding(rng), parts.weight(rng, (outputs, inputs))
    first, _ = codes_of(encoding, 1)
    x = rng.integers(0, 1 << encoding.bits, (3, inputs))
    made = Program((inputs,), (first, node("linear", "encode", weight=weight), affine_of("linear", outputs)), "affine")
    got = run_all(made, x.astype(f32))["linear"]
    assert np.array_equal(got, levels(x, encoding).astype(np.int64) @ weight.levels().astype(np.int64).T)


def test_linear_over_floats_adds_in_ascending_order() -> None:
    x, linear = floats(1.0, 2.0**-24, 2.0**-24), node("linear", weight=FloatWeight(np.ones((1, 3), f32)))
    # Each small term alone is a tie and rounds away; from the other end they add up first.
    assert values(x, linear)["linear"].tolist() == [[1.0]]
    assert values(x[:, ::-1].copy(), linear)["linear"].tolist() == [[1.0 + 2.0**-23]]


def test_extreme_levels_do_not_saturate() -> None:
    """255 times 127, many times: beyond int16, below int32."""
    weight = Weight(np.full((2, 4000), 127, np.uint8), Affine(7))
    first = node("quantize", encoding=Affine(8), inv_step=1.0)
    made = Program((4000,), (first, node("linear", "quantize", weight=weight), affine_of("linear", 2)), "affine")
    assert run_all(made, np.full((1, 4000), 255, f32))["linear"].tolist() == [[255 * 127 * 4000] * 2]


def test_padding_of_codes_is_level_zero_even_without_a_code_for_it() -> None:
    weight = Weight(np.ones((1, 1, 3, 3), np.uint8), Planes(1, [1]))
    first = node("encode", encoding=Planes(1, [1], "pm"), thresholds=(0.0,))
    conv = node("conv2d", "encode", weight=weight, padding=(1, 1))
    got = values(np.ones((1, 1, 2, 2), f32), first, conv, affine_of("conv2d", 1))["conv2d"]
    assert got.tolist() == [[[[4, 4], [4, 4]]]]


def random_pool(rng: np.random.Generator, size: tuple[int, ...]) -> dict[str, Any]:
    kernel = tuple(int(min(k, n)) for k, n in zip(rng.integers(1, 4, 2), size, strict=True))
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    return {"kernel": kernel, "padding": padding, "stride": tuple(rng.integers(1, 4, 2).tolist())}


@given(SEEDS)
def test_pools_over_codes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels, *size = rng.integers(1, 6, 3).tolist()
    encoding, attrs = parts.activation_encoding(rng), random_pool(rng, tuple(size))
    first, _ = codes_of(encoding, 1)
    x = rng.integers(0, 1 << encoding.bits, (1, channels, *size))
    ends = (node("dequantize", "max_pool", scale=1.0), affine_of("sum_pool", channels))
    made = Program(
        (channels, *size),
        (
            first,
            node("max_pool", "encode", **attrs),
            node("sum_pool", "encode", **attrs),
            *ends,
            node("add", "dequantize", "affine"),
        ),
        "add",
    )
    got = run_all(made, x.astype(f32))
    level = levels(x[0], encoding)
    for c in range(channels):
        for oh, ow, reads in positions({**attrs, "dilation": (1, 1)}, attrs["kernel"], tuple(size)):
            inside = [(int(level[c, h, w]), int(x[0, c, h, w])) for _, _, h, w in reads if h is not None]
            best = max(found for found, _ in inside)
            assert got["max_pool"][0, c, oh, ow] == next(code for found, code in inside if found == best)
            assert got["sum_pool"][0, c, oh, ow] == sum(found for found, _ in inside)
    assert got["sum_pool"].dtype == np.int32


@given(SEEDS)
def test_pools_over_floats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels, *size = rng.integers(1, 6, 3).tolist()
    attrs = random_pool(rng, tuple(size))
    x = (rng.standard_normal((1, channels, *size)) * 10.0 ** rng.integers(-6, 7)).astype(f32)
    largest, total = (values(x, node(op, **attrs))[op] for op in ("max_pool", "sum_pool"))
    for c in range(channels):
        for oh, ow, reads in positions({**attrs, "dilation": (1, 1)}, attrs["kernel"], tuple(size)):
            inside = [x[0, c, h, w] for _, _, h, w in reads if h is not None]
            assert largest[0, c, oh, ow] == max(inside)
            expected = f32(0)
            for value in inside:
                expected = f32(expected + value)
            assert total[0, c, oh, ow].tobytes() == expected.tobytes()


def test_padding_never_wins_a_max_pool() -> None:
    x = np.full((1, 1, 3, 3), -5.0, f32)
    attrs = {"kernel": (2, 2), "padding": (1, 1)}
    assert (values(x, node("max_pool", **attrs))["max_pool"] == -5.0).all()
    # The lowest level of all, where padding with code 0 (level 0) would win.
    first = node("quantize", encoding=Affine(8, signed=True), inv_step=100.0)
    got = values(x, first, node("max_pool", "quantize", **attrs), node("dequantize", "max_pool", scale=1.0))
    assert (got["dequantize"] == -128.0).all()


def test_max_pool_compares_levels_and_keeps_the_first_of_equals() -> None:
    encoding = Table(2, [5, 9, 9, -1])
    first, _ = codes_of(encoding, 1)
    pool = node("max_pool", "encode", kernel=(1, 2))
    x = np.array([[[[3, 0], [1, 2], [2, 1]]]], f32)
    got = values(x, first, pool, node("dequantize", "max_pool", scale=1.0))["max_pool"]
    assert got.tolist() == [[[[0], [1], [2]]]]


def test_max_pool_of_zeros_keeps_the_first_sign() -> None:
    x = np.array([[[[-0.0, 0.0], [0.0, -0.0]]]], f32)
    got = values(x, node("max_pool", kernel=(1, 2)))["max_pool"]
    assert np.signbit(got).reshape(-1).tolist() == [True, False]


def test_sum_pool_over_the_whole_map() -> None:
    x = np.arange(24, dtype=f32).reshape(1, 2, 3, 4)
    assert values(x, node("sum_pool"))["sum_pool"].tolist() == [[[[66.0]], [[210.0]]]]


def test_sum_pool_never_gives_minus_zero() -> None:
    assert not np.signbit(values(np.full((1, 1, 2, 2), -0.0, f32), node("sum_pool"))["sum_pool"]).any()


def test_concat_follows_the_channel_axis() -> None:
    x = np.arange(8, dtype=f32).reshape(1, 2, 2, 2)
    got = values(x, affine_of("input", 2), node("concat", "affine", "input", "affine"))["concat"]
    assert np.array_equal(got, np.concatenate([x + 1, x, x + 1], axis=1))


def test_shift_pad_keeps_every_second_pixel_and_adds_zeros() -> None:
    x = np.arange(1, 31, dtype=f32).reshape(1, 2, 3, 5)
    got = values(x, node("shift_pad", stride=2, before=1, after=2))["shift_pad"]
    assert got.shape == (1, 5, 2, 3)
    assert np.array_equal(got[0, 1:3], x[0, :, ::2, ::2])
    assert not got[0, [0, 3, 4]].any()
    assert not np.signbit(got).any()


def test_shift_pad_adds_the_lowest_code_of_level_zero() -> None:
    first, _ = codes_of(Table(2, [7, 5, 0, 0]), 1)
    shift = node("shift_pad", "encode", after=1)
    got = values(np.ones((1, 1, 1, 1), f32), first, shift, node("dequantize", "shift_pad", scale=1.0))
    assert got["shift_pad"].reshape(-1).tolist() == [1, 2]
    assert got["dequantize"].reshape(-1).tolist() == [5.0, 0.0]


def test_flatten_is_c_order() -> None:
    x = np.arange(24, dtype=f32).reshape(2, 3, 2, 2)
    assert np.array_equal(values(x, node("flatten"))["flatten"], x.reshape(2, 12))


def test_reshape_keeps_the_order_of_positions() -> None:
    x = np.arange(12, dtype=f32).reshape(1, 2, 2, 3)
    found = values(x, node("reshape", size=(3, 2)))["reshape"]
    assert np.array_equal(found, x.reshape(1, 2, 3, 2))
    flat = values(np.arange(3, dtype=f32).reshape(1, 3), node("reshape", size=(1, 1)))["reshape"]
    assert flat.shape == (1, 3, 1, 1)


def test_gather_takes_channels_and_positions() -> None:
    x = np.arange(12, dtype=f32).reshape(1, 2, 2, 3)
    assert np.array_equal(values(x, node("gather", index=(1, 0, 1)))["gather"], x[:, [1, 0, 1]])
    found = values(x, node("gather", index=(5, 0), axis=1))["gather"]
    assert np.array_equal(found, x.reshape(1, 2, 6)[:, :, [5, 0], None])
