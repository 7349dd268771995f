"""Functions of floats: their stated accuracy, their order of operations, and the engine next to the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kompakt.artifact import Node, Program
from kompakt.engine import float_ops
from support.layers import assert_equal_to_reference
from support.nodes import f32, node, values
from support.programs import Builder


def wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64)


def normal_share(x: np.ndarray) -> np.ndarray:
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in wide(x)])


@pytest.mark.parametrize(
    ("name", "span", "exact", "bound"),
    [
        ("exp", 86.0, np.exp, 1e-7),
        ("sigmoid", 80.0, lambda x: 1 / (1 + np.exp(-x)), 2e-7),
        ("tanh", 20.0, np.tanh, 2e-7),
        ("silu", 80.0, lambda x: x / (1 + np.exp(-x)), 3e-7),
    ],
)
def test_relative_accuracy(name, span, exact, bound):
    x = np.linspace(-span, span, 200_001).astype(f32)
    x = x[x != 0]
    found, expected = getattr(float_ops, name)(x), exact(wide(x))
    assert np.abs(found / expected - 1).max() < bound
    if name != "silu":
        assert (np.diff(found) >= -2e-7).all()


def test_gelu_is_x_times_the_normal_distribution():
    x = np.linspace(-12, 12, 20_001).astype(f32)
    assert (np.abs(float_ops.gelu(x) - wide(x) * normal_share(x)) <= 3e-7 * np.abs(wide(x)) + 1e-30).all()


def test_special_values():
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45], f32)
    with np.errstate(all="ignore"):
        assert float_ops.exp(x)[[3, 4]].tolist() == [1, 1]
        assert np.isfinite(float_ops.exp(x)).all()
        assert float_ops.sigmoid(x)[:2].tolist() == [1, f32(1) / (f32(1) + float_ops.exp(f32([88]))[0])]
        assert float_ops.tanh(x)[[0, 1, 3, 5]].tolist() == [1, -1, 0, f32(1e-45)]
        assert float_ops.hardswish(f32([-3, 3, 6, -4])).tolist() == [0, 3, 6, 0]


def lane_sum_by_hand(numbers: np.ndarray) -> np.float32:
    lanes = [f32(0)] * 16
    for i, number in enumerate(numbers):
        lanes[i % 16] = f32(lanes[i % 16] + number)
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [f32(lanes[j] + lanes[half + j]) for j in range(half)]
    return lanes[0]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 31, 32, 33, 100])
def test_sums_have_sixteen_lanes(count):
    x = np.random.default_rng(count).normal(0, 1e3, (3, count)).astype(f32)
    assert float_ops.lane_sum(x).tolist() == [lane_sum_by_hand(row) for row in x]


def test_layer_norm_by_hand():
    x = np.random.default_rng(0).normal(2, 3, (1, 21, 1, 2)).astype(f32)
    found = values(x, node("layer_norm", eps=0.5))["layer_norm"]
    for position in range(2):
        row = x[0, :, 0, position]
        mean = f32(lane_sum_by_hand(row) / f32(21))
        centred = [f32(v - mean) for v in row]
        variance = f32(lane_sum_by_hand(np.array([f32(d * d) for d in centred])) / f32(21))
        inverse = f32(f32(1) / np.sqrt(f32(variance + f32(0.5))))
        assert found[0, :, 0, position].tolist() == [f32(d * inverse) for d in centred]


def test_attention_by_hand():
    rng = np.random.default_rng(1)
    q, k, v = rng.normal(0, 1, (3, 1, 6, 5, 1)).astype(f32)
    found = float_ops.attention(q, k, v, 2, 0.375)
    for head in range(2):
        channels = range(3 * head, 3 * head + 3)
        for query in range(5):
            scores = []
            for token in range(5):
                total = f32(0)
                for c in channels:
                    total = f32(total + f32(q[0, c, query, 0] * k[0, c, token, 0]))
                scores.append(f32(total * f32(0.375)))
            weights = float_ops.exp(np.array(scores) - max(scores))
            inverse = f32(f32(1) / lane_sum_by_hand(weights))
            for c in channels:
                total = f32(0)
                for token in range(5):
                    total = f32(total + f32(weights[token] * v[0, c, token, 0]))
                assert found[0, c, query, 0] == f32(total * inverse)


def test_attention_is_softmax_attention():
    rng = np.random.default_rng(2)
    q, k, v = rng.normal(0, 1, (3, 2, 8, 3, 3)).astype(f32)
    flat = [wide(x).reshape(2, 2, 4, 9) for x in (q, k, v)]
    scores = np.einsum("nhdi,nhdj->nhij", flat[0], flat[1]) / 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = np.einsum("nhij,nhdj->nhdi", weights, flat[2]).reshape(q.shape)
    np.testing.assert_allclose(float_ops.attention(q, k, v, 2, 0.5), expected, atol=1e-6)


@pytest.mark.parametrize("function", float_ops.UNARY)
def test_engine_has_the_bits_of_every_function(function):
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(0, 4, 3000), rng.normal(0, 60, 500), [0.0, -0.0, np.inf, -np.inf, 1e-40]])
    program = Program((len(x),), (Node("unary", "y", ("input",), {"function": function}),), "y")
    assert_equal_to_reference(program, x[None].astype(f32))


@pytest.mark.parametrize(
    ("channels", "size", "heads"), [(6, (5, 1), 2), (40, (7, 9), 5), (3, (1, 1), 3), (48, (4, 9), 1)]
)
def test_engine_has_the_bits_of_attention_blocks(channels, size, heads):
    rng = np.random.default_rng(channels)
    builder = Builder(rng, (channels, *size))
    x = builder.add("add_constant", "input", value=rng.normal(0, 1, (channels, *size)).astype(f32))
    y = builder.add("layer_norm", x, eps=float(f32(1e-5)))
    y = builder.add("attention", y, x, y, heads=heads, scale=float(f32(0.3)))
    x = builder.add("unary", builder.add("add", x, y), function="gelu")
    program = builder.finish(builder.add("layer_norm", x, eps=float(f32(1e-3))))
    assert_equal_to_reference(program, rng.normal(0, 2, (3, channels, *size)).astype(f32), threads=(1, 3))


def test_wide_layer_norm_is_split_over_tiles():
    rng = np.random.default_rng(5)
    program = Program((2500,), (Node("layer_norm", "y", ("input",), {"eps": 1.0}),), "y")
    assert_equal_to_reference(program, rng.normal(1, 2, (2, 2500)).astype(f32), threads=(1, 2))
