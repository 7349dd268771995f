"""Estimates of what makes codes of sums, on programs whose operators can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kompakt.artifact import Node, Program
from kompakt.encoding import Affine
from kompakt.measure import energy_per_value_pj, requantization_costs
from kompakt.strategy import prepare
from support.nets import build
from support.nodes import node, sums_of


def program(*nodes: Node) -> Program:
    """Sums of four channels, and what follows."""
    sums, x = sums_of([1, 2, 3, 4])
    end = node("dequantize", nodes[-1].name, name="end", scale=1.0)
    return Program(x.shape[1:], (*sums, *nodes, end), "end")


def shifts(inputs: int) -> dict[str, object]:
    left, zeros = np.zeros((inputs, 4), np.int8), np.zeros(4, np.int32)
    return {"encoding": Affine(8), "bias": zeros, "left": left, "right": left[0]}


ROW = np.ones(4, np.float32)
SCALED = (
    node("affine", "linear", m=ROW, b=ROW),
    node("quantize", "affine", name="q", encoding=Affine(8), inv_step=1.0),
)


def test_shifts_add_a_bias_round_and_clip():
    (found,) = requantization_costs(program(node("requantize", "linear", **shifts(1))))
    assert (found.way, found.values) == ("shift", 4)
    assert found.energy_pj == pytest.approx(4 * 4 * 0.1)
    (found,) = requantization_costs(program(node("requantize", "linear", "linear", **shifts(2))))
    assert found.energy_pj == pytest.approx(4 * 6 * 0.1)


def test_scales_multiply_twice_and_the_input_does_not_count():
    (found,) = requantization_costs(program(*SCALED))
    assert (found.way, found.values) == ("scale", 4)
    assert found.energy_pj == pytest.approx(4 * (3.7 + 0.9 + 3.7 + 1.8))
    assert found.energy_pj == pytest.approx(4 * energy_per_value_pj(8)["scale"])


def test_code_books_compare():
    steps = tuple(float(k) for k in range(15))
    encode = node("encode", "affine", name="e", encoding=Affine(4), thresholds=steps)
    costs = {cost.way: cost for cost in requantization_costs(program(SCALED[0], encode))}
    assert costs["scale"].values == 0
    assert costs["codebook"].values == 4
    assert sum(cost.energy_pj for cost in costs.values()) == pytest.approx(4 * energy_per_value_pj(4)["codebook"])


def test_an_integer_network_takes_a_fraction_of_the_same_with_scales():
    net, x = build("identity")
    found = {}
    for recipe in ("int8", "int8-shift"):
        costs = requantization_costs(prepare(net, recipe, x[:2], torch.randn(8, *x.shape[1:])).finish().program)
        found[recipe] = (
            sum(cost.energy_pj for cost in costs),
            sum(cost.values for cost in costs),
            {c.way for c in costs},
        )
    assert found["int8-shift"][2] == {"shift"}
    assert found["int8-shift"][1] <= found["int8"][1]
    assert found["int8-shift"][0] < found["int8"][0] / 15
