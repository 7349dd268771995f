"""The reference against docs/numerics.md: operators that work value by value, and whole programs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from kompakt._core.errors import ArtifactError, InputError
from kompakt.artifact import Program, Weight
from kompakt.encoding import Affine, Table
from kompakt.engine.reference import run, run_all
from support import parts
from support.nodes import SEEDS, codes_of, f32, floats, node, sums_of, values
from support.programs import random_input, random_program, resnet_like_program


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed", [False, True])
def test_quantize_rounds_ties_to_even_and_clips(bits: int, signed: bool) -> None:
    low, high = Affine(bits, signed).limits
    halves = np.arange(2 * low - 5, 2 * high + 6, dtype=f32) / 2
    got = values(halves[None], node("quantize", encoding=Affine(bits, signed), inv_step=1.0))["quantize"][0]
    for value, code in zip(halves.tolist(), got.tolist(), strict=True):
        expected = min(max(round(value), low), high)  # Python's round goes to even, too
        assert code == expected % (1 << bits), value


def test_quantize_multiplies_in_float32() -> None:
    x = np.random.default_rng(0).normal(0, 3, (1, 1000)).astype(f32)
    step = float(f32(1 / 0.037))
    got = values(x, node("quantize", encoding=Affine(8), inv_step=step))["quantize"]
    assert got.tolist() == [[min(max(round(float(f32(v) * f32(step))), 0), 255) for v in x[0]]]


def test_quantize_saturates_infinities() -> None:
    x = floats(np.inf, -np.inf, 3e38, -3e38, -0.0)
    got = values(x, node("quantize", encoding=Affine(4, signed=True), inv_step=100.0))["quantize"]
    assert got.tolist() == [[7, 8, 7, 8, 0]]


def test_encode_gives_a_tie_to_the_lower_level() -> None:
    encode = node("encode", encoding=Table(2, [0, 1, 3, 9]), thresholds=(0.0, 1.0, 2.5))
    below, above = np.nextafter(f32(1), f32(0)), np.nextafter(f32(1), f32(2))
    x = floats(-0.0, 0.0, 1e-45, float(below), 1.0, float(above), 2.5, 2.6, np.inf, -np.inf)
    assert values(x, encode)["encode"].tolist() == [[0, 0, 1, 1, 1, 2, 2, 3, 3, 0]]


def test_encode_takes_codes_from_its_list() -> None:
    encode = node("encode", encoding=Table(2, [9, 0, 3, 1]), thresholds=(0.0, 1.0, 2.0), codes=(1, 3, 2, 0))
    got = values(floats(-1, 0.5, 1.5, 7), encode)
    assert got["encode"].tolist() == [[1, 3, 2, 0]]
    assert got["end"].tolist() == [[0.0, 1.0, 3.0, 9.0]]


def test_encode_without_codes_equals_quantize_on_a_uniform_grid() -> None:
    x = np.random.default_rng(1).normal(3, 4, (1, 4000)).astype(f32)
    thresholds = tuple(k + 0.5 for k in range(7))
    encoded = values(x, node("encode", encoding=Affine(3), thresholds=thresholds))["encode"]
    assert np.array_equal(encoded, values(x, node("quantize", encoding=Affine(3), inv_step=1.0))["quantize"])


def test_nan_from_inside_gives_the_lowest_code() -> None:
    """inf - inf and inf * 0 arise after the check of the input."""
    x = floats(np.inf)
    nothing = np.zeros(1, f32)
    affine = node("affine", m=nothing, b=nothing)
    assert np.isnan(values(x, affine)["affine"]).all()
    quantized = values(x, affine, node("quantize", "affine", encoding=Affine(4, signed=True), inv_step=1.0))
    assert quantized["quantize"].tolist() == [[8]]
    encoded = values(x, affine, node("encode", "affine", encoding=Affine(1), thresholds=(-5.0,), codes=(1, 0)))
    assert encoded["encode"].tolist() == [[1]]
    assert values(x, affine, node("clamp", "affine", lo=-2.0, hi=3.0))["clamp"].tolist() == [[-2.0]]


@given(SEEDS)
def test_recode_counts_thresholds_at_or_below_the_level(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = parts.activation_encoding(rng), parts.activation_encoding(rng)
    first, x = codes_of(source, 40)
    steps = sorted(rng.integers(-140, 260, (1 << target.bits) - 1).tolist())
    order = rng.permutation(1 << target.bits).tolist()
    got = values(x[None], first, node("recode", "encode", encoding=target, thresholds=steps, codes=order))["recode"]
    table = source.table()[0]
    assert got.tolist() == [[order[sum(table[int(q)] >= t for t in steps)] for q in x]]


def test_threshold_counts_in_both_directions() -> None:
    nodes, x = sums_of([4, 5, 6, 4, 5, 6, -1000, 1000])
    rows = np.array([[5, 5, 9]] * 3 + [[9, 5, 5]] * 3 + [[-2000, 0, 1000]] * 2, np.int32)
    directions = np.array([1, 1, 1, -1, -1, -1, 1, 1], np.int8)
    threshold = node("threshold", "linear", encoding=Affine(2), thresholds=rows, directions=directions)
    got = values(x, *nodes, threshold)
    assert got["linear"].tolist() == [[4, 5, 6, 4, 5, 6, -1000, 1000]]
    # x >= 5 twice from 5 on; x <= 9, and twice x <= 5.
    assert got["threshold"].tolist() == [[0, 2, 2, 3, 3, 1, 1, 3]]


def test_constant_channels() -> None:
    nodes, x = sums_of([-77, 0, 77, 3])
    low, high = -(2**31), 2**31 - 1
    rows = np.array([[high] * 3, [low] * 3, [low, low, high], [low] * 3], np.int32)
    threshold = node(
        "threshold", "linear", encoding=Affine(2), thresholds=rows, directions=np.array([1, 1, 1, -1], np.int8)
    )
    assert values(x, *nodes, threshold)["threshold"].tolist() == [[0, 3, 2, 0]]


@given(SEEDS)
def test_threshold_equals_the_float_chain_it_replaces(seed: int) -> None:
    """affine and quantize on a sum, against thresholds found by trying every sum."""
    rng = np.random.default_rng(seed)
    every = np.arange(-600, 601)
    m, b = f32(rng.normal(0, 0.02)), f32(rng.normal(0, 2))
    chain = np.clip(np.rint(every.astype(f32) * m + b), 0, 3).astype(int)
    direction = 1 if m >= 0 else -1
    seen = every if direction == 1 else every[::-1]
    first = [next((int(s) for s in seen if chain[s + 600] >= k), direction * (2**31 - 1)) for k in (1, 2, 3)]
    sums = rng.choice(every, 6).tolist()
    nodes, x = sums_of(sums)
    rows, directions = np.array([first] * 6, np.int32), np.full(6, direction, np.int8)
    threshold = node("threshold", "linear", encoding=Affine(2), thresholds=rows, directions=directions)
    assert values(x, *nodes, threshold)["threshold"].tolist() == [[int(chain[s + 600]) for s in sums]]


@given(SEEDS)
def test_dequantize_is_one_product(seed: int) -> None:
    rng = np.random.default_rng(seed)
    encoding, scale = parts.activation_encoding(rng), f32(rng.uniform(1e-6, 10))
    first, x = codes_of(encoding, 30)
    got = values(x[None], first, node("dequantize", "encode", scale=float(scale)))["dequantize"]
    assert got.tolist() == [[float(f32(encoding.table()[0][int(q)]) * scale) for q in x]]


@given(SEEDS)
def test_affine_multiplies_then_adds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, b, x = (rng.normal(0, 10.0 ** rng.integers(-3, 4), 20).astype(f32) for _ in range(3))
    got = values(x[None], node("affine", m=m, b=b))["affine"]
    # float64 holds the product exactly, so rounding it once gives the float32 product; then one rounded addition.
    product = (x.astype(np.float64) * m.astype(np.float64)).astype(f32)
    assert np.array_equal(got[0], (product.astype(np.float64) + b.astype(np.float64)).astype(f32))


def test_affine_is_not_fused() -> None:
    factor = np.array([1 + 2.0**-12], f32)
    # The product 1 + 2^-11 + 2^-24 is a tie and loses its last term; a fused operation would keep it.
    b = np.array([-1 - 2.0**-11], f32)
    assert values(factor[None], node("affine", m=factor, b=b))["affine"].tolist() == [[0.0]]


def test_affine_rounds_large_sums_to_even() -> None:
    """2^24 + 1 has no float32: the sum becomes 2^24; 2^24 + 3 becomes 2^24 + 4."""
    assert 255 * (518 * 127 + 7) + 1 == 2**24
    weight = np.array([[127] * 518 + [7, rest] for rest in (2, 4)], np.uint8)
    x = np.array([[255] * 519 + [1]], f32)
    first = node("quantize", encoding=Affine(8), inv_step=1.0)
    linear = node("linear", "quantize", weight=Weight(weight, Affine(7)))
    got = values(x, first, linear, node("affine", "linear", m=np.ones(2, f32), b=np.zeros(2, f32)))
    assert got["linear"].tolist() == [[2**24 + 1, 2**24 + 3]]
    assert got["affine"].tolist() == [[2.0**24, 2.0**24 + 4]]


def test_add_is_one_operation() -> None:
    x = floats(2.0**-24, 2.0**-23, -1.0)
    one = node("affine", m=np.zeros(3, f32), b=np.ones(3, f32))
    assert values(x, one, node("add", "input", "affine"))["add"].tolist() == [[1.0, 1.0 + 2.0**-23, 0.0]]


def test_clamp_gives_the_bound_on_ties() -> None:
    got = values(floats(-0.0, 0.0, -1.0, 5.0, np.inf, -np.inf), node("clamp"))["clamp"][0]
    assert got.tolist() == [0.0, 0.0, 0.0, 5.0, np.inf, 0.0]
    assert not np.signbit(got).any()
    capped = values(floats(-7.0, 5.0, 6.0, 6.5, np.inf), node("clamp", lo=-1.0, hi=6.0))["clamp"]
    assert capped.tolist() == [[-1.0, 5.0, 6.0, 6.0, 6.0]]


def test_clamp_keeps_minus_zero_inside() -> None:
    assert np.signbit(values(floats(-0.0), node("clamp", lo=-1.0))["clamp"]).all()


def test_subnormals_are_kept() -> None:
    tiny = 1e-45
    assert values(floats(tiny), node("affine", m=np.ones(1, f32), b=np.zeros(1, f32)))["affine"][0, 0] == f32(tiny)


@pytest.mark.parametrize("seed", range(40))
def test_images_do_not_influence_each_other(seed: int) -> None:
    program = random_program(seed)
    x = random_input(program, seed, batch=3)
    together = run_all(program, x)
    for n in range(3):
        alone = run_all(program, x[n : n + 1])
        for name, value in together.items():
            assert np.array_equal(value[n : n + 1], alone[name], equal_nan=value.dtype == f32)


def test_an_empty_batch() -> None:
    program = resnet_like_program(0)
    assert run(program, np.zeros((0, *program.input_shape), f32)).shape == (0, 10)


def test_the_input_is_not_changed() -> None:
    program = random_program(3)
    x = random_input(program, 3)
    before = x.copy()
    x.setflags(write=False)
    run(program, x)
    assert np.array_equal(x, before)


def test_strides_of_the_input_do_not_matter() -> None:
    program = resnet_like_program(1)
    x = random_input(program, 1)
    turned = np.asarray(x.transpose(0, 2, 3, 1), order="C").transpose(0, 3, 1, 2)
    assert not turned.flags.c_contiguous
    assert np.array_equal(run(program, x), run(program, turned))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 4)), "float32 array, got float64"),
        (np.zeros((1, 4), np.float16), "got float16"),
        ([[0.0] * 4], "got list"),
        (np.zeros(4, f32), r"shape \(N, 4\), got \(4,\)"),
        (np.zeros((1, 5), f32), r"got \(1, 5\)"),
        (np.zeros((), f32), r"got \(\)"),
        (np.full((1, 4), np.nan, f32), "holds NaN"),
    ],
)
def test_refused_input(x: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(Program((4,), (node("clamp"),), "clamp"), x)


def test_an_illegal_program_is_refused() -> None:
    with pytest.raises(ArtifactError, match="no earlier node"):
        run(Program((4,), (node("clamp", "nothing"),), "clamp"), np.zeros((1, 4), f32))


def test_it_needs_neither_torch_nor_the_native_module() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['kompakt._native'] = None\n"
        "import kompakt.encoding, kompakt.artifact, kompakt.engine.reference, kompakt.measure.costs\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
