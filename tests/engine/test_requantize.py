"""Sums to codes by shifts: definition, residuals of codes and sums, all levels next to the NumPy reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

from kompakt import _native
from kompakt._core.errors import ArtifactError
from kompakt.artifact import Node, Program, check, to_bytes
from kompakt.encoding import Affine, Planes
from kompakt.engine import run_all_reference
from support import parts
from support.layers import assert_equal_to_reference
from support.nodes import SEEDS, node, sums_of, values
from support.programs import Builder, conv, random_input

SUMS = [-(2**13), -1001, -25, -24, -8, -7, -1, 0, 1, 7, 8, 9, 23, 24, 25, 1000, 2**13]


def shifts(channels: int, left: int = 0, right: int = 0, bias: int = 0, inputs: int = 1) -> dict[str, np.ndarray]:
    return {
        "bias": np.full(channels, bias, np.int32),
        "left": np.full((inputs, channels), left, np.int8),
        "right": np.full(channels, right, np.int8),
    }


@pytest.mark.parametrize("left", [0, 2])
@pytest.mark.parametrize("right", [0, 1, 4, 30])
@pytest.mark.parametrize("bias", [0, -9, 5])
def test_half_goes_up(left: int, right: int, bias: int) -> None:
    """floor(v / 2^right + 1/2): a tie goes up, on both sides of zero."""
    nodes, x = sums_of(SUMS)
    attrs = shifts(len(SUMS), left, right, bias)
    got = values(x, *nodes, node("requantize", "linear", encoding=Affine(5, signed=True), **attrs))["requantize"][0]
    for total, code in zip(SUMS, got.tolist(), strict=True):
        level = math.floor((total * 2**left + bias) / 2**right + 0.5)
        assert code == min(max(level, -16), 15) % 32, total


@given(SEEDS)
def test_power_of_two_scales_of_floats_say_the_same(seed: int) -> None:
    """Sums and codes as real numbers in float64, scaled, added and rounded."""
    rng = np.random.default_rng(seed)
    totals = rng.integers(-9999, 9999, 40).tolist()
    nodes, x = sums_of(totals)
    fraction, added, out = rng.integers(6, 12, 40), int(rng.integers(0, 6)), rng.integers(-1, 6, 40)
    codes = node("quantize", "input", name="codes", encoding=Affine(8, signed=True), inv_step=1.0)
    take = node("gather", "codes", index=list(range(40)))
    common = np.maximum(fraction, out)
    bias = rng.integers(-5000, 5000, 40).astype(np.int32) << (common - fraction).astype(np.int32)
    attrs = {"left": np.stack([common - fraction, common - added]).astype(np.int8), "bias": bias.astype(np.int32)}
    last = node("requantize", "linear", "gather", encoding=Affine(8), right=(common - out).astype(np.int8), **attrs)
    got = values(x, *nodes, codes, take, last)
    level = got["gather"].astype(np.int8).astype(np.float64)
    real = got["linear"] / 2.0**fraction + level / 2.0**added + bias / 2.0**common
    assert np.array_equal(got["requantize"], np.clip(np.floor(real * 2.0**out + 0.5), 0, 255))


OTHERS = ("none", "codes", "unsigned codes", "sums", "earlier sums", "itself")


def _residual_program(channels: int, other: str, seed: int) -> Program:
    """A product of 8-bit codes, and what `other` says added to it before it becomes codes."""
    builder = Builder(np.random.default_rng(seed), (channels, 5, 7))
    rng = builder.rng
    x = builder.add("quantize", "input", encoding=Affine(8, signed=True), inv_step=20.0)
    reads = [conv(builder, x, channels, 3, 1, Affine(8, signed=True))]
    if other == "codes":
        reads.append(x)
    elif other == "unsigned codes":
        reads.append(builder.add("recode", x, encoding=Affine(3), thresholds=[-90, -50, 0, 10, 40, 90, 100]))
    elif other == "itself":
        reads *= 2
    elif "sums" in other:
        reads.append(conv(builder, x, channels, 1, 1, Affine(4, signed=True)))
    if other == "earlier sums":
        reads.reverse()
    encoding = Affine(int(rng.integers(1, 9)), signed=bool(rng.integers(2)))
    left, right = rng.integers(0, 4, (len(reads), channels)), rng.integers(0, 20, channels)
    bias = rng.integers(-(2**18), 2**18, channels).astype(np.int32)
    attrs = {"left": left.astype(np.int8), "right": right.astype(np.int8), "bias": bias}
    return builder.finish(builder.add("requantize", *reads, encoding=encoding, **attrs))


@pytest.mark.parametrize("other", OTHERS)
def test_every_level_equals_the_reference(other: str) -> None:
    for channels in (1, 7, 16, 33):
        program = _residual_program(channels, other, channels)
        threads = (1, 2) if channels == 16 else (1,)
        families = ("", "dot_s16")
        assert_equal_to_reference(program, random_input(program, channels, batch=3), threads, families)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("has_residual", [False, True])
def test_layers_that_make_codes_in_registers(has_residual: bool, signed: bool) -> None:
    """Depthwise and dense layers in a row, whose codes go straight into each other's frames."""
    for channels in (5, 16, 40, 64):
        builder = Builder(np.random.default_rng(channels), (channels, 6, 9))
        rng = builder.rng
        x = builder.add("quantize", "input", encoding=Affine(8, signed=True), inv_step=20.0)
        for groups, kernel, bits in ((channels, 3, 8), (1, 1, 5), (channels, 5, 8), (1, 3, 3)):
            weight = parts.weight(rng, (channels, channels // groups, kernel, kernel), Affine(8, signed=True))
            y = builder.add("conv2d", x, weight=weight, groups=groups, padding=(kernel // 2, kernel // 2))
            inputs = [y, x] if has_residual else [y]
            low, high = Affine(bits, signed).limits
            x = builder.add(
                "requantize", *inputs, encoding=Affine(bits, signed), top=int(rng.integers(low + 1, high + 1)),
                bias=rng.integers(-(2**14), 2**14, channels).astype(np.int32),
                left=rng.integers(0, 5, (len(inputs), channels)).astype(np.int8),
                right=rng.integers(5, 14, channels).astype(np.int8),
            )  # fmt: skip
        program = builder.finish(x)
        assert_equal_to_reference(program, random_input(program, channels, batch=2), families=("",))


@pytest.mark.parametrize("other", OTHERS)
def test_every_value_is_equal_where_nothing_is_fused(other: str) -> None:
    program = _residual_program(20, other, 3)
    x = random_input(program, 3)
    expected = run_all_reference(program, x)
    for isa in _native.isa_levels():
        found = _native.Engine(to_bytes(program), 1, isa, "").values(x)
        assert all(np.array_equal(found[name], value) for name, value in expected.items() if name != "input"), isa


def test_sums_at_the_limit() -> None:
    """Aligned sums up to 2^31 - 1 are legal and exact; one bit more is refused."""
    program = _residual_program(4, "none", 0)
    bound = check(program)[program.nodes[1].name].bound
    left = (2**31 - 1) // bound
    shift, rest = left.bit_length() - 1, 2**31 - 1 - (bound << (left.bit_length() - 1))

    def attrs(bias: int) -> dict[str, np.ndarray]:
        return shifts(4, shift, 0, bias)

    def build(bias: int) -> Program:
        requantize = Node("requantize", "r", (program.nodes[1].name,), {"encoding": Affine(8, True), **attrs(bias)})
        return Program(
            program.input_shape, (*program.nodes[:2], requantize, node("dequantize", "r", scale=1.0)), "dequantize"
        )

    for bias in (rest, -rest):
        assert_equal_to_reference(build(bias), random_input(program, 1), families=("",))
        with pytest.raises(ArtifactError, match="sums of channel 0 can reach 2147483648") as caught:
            check(build(bias + (1 if bias > 0 else -1)))
        assert caught.value.kind == "overflow_risk"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"left": np.zeros((1, 3), np.int8)}, "shape", "one entry per channel, got 4, 3 and 4"),
        ({"left": np.zeros((2, 4), np.int8)}, "shape", "left has 2 rows for 1 inputs"),
        ({"right": np.full(4, 31, np.int8)}, "value", "right must lie in 0..30, got 31"),
        ({"left": np.full((1, 4), -1, np.int8)}, "value", "left must lie in 0..30, got -1"),
        ({"encoding": Planes(2, [1, 2], "01")}, "encoding", "must be affine"),
        ({"bias": np.zeros(4, np.float32)}, "node", "must be an array of int32"),
    ],
)
def test_refused(change: dict[str, object], kind: str, message: str) -> None:
    nodes, x = sums_of([1, 2, 3, 4])
    attrs = {"encoding": Affine(8), **shifts(4), **change}
    with pytest.raises(ArtifactError, match=message) as caught:
        values(x, *nodes, node("requantize", "linear", **attrs))
    assert caught.value.kind == kind
