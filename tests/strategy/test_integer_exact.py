"""The quantized network and the engine, code by code: every method agrees, and every planted difference is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from kompakt.deploy import lower, lower_traceably
from kompakt.graph import Graph
from kompakt.strategy.integer_exact import ROUNDING, ROUNDINGS, IntegerExact, longest_float_sum
from support.integer_exact import assert_agrees, compared, values_of
from support.nets import NETS
from support.quantized import EIGHT, SETUPS, Setup, method_cases, quantized, quantized_by, quantized_net
from support.sequences import LanguageModel, ids


@pytest.mark.parametrize(("name", "bits", "role"), method_cases())
def test_every_method_agrees_in_every_code(name, bits, role):
    graph, x = quantized_by(name, bits, role)
    assert_agrees(graph, x.numpy())


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("setup", ["lsq-w2a2", "lsq-w8a8", "weights only", "float residual"])
def test_networks_of_every_form_agree_in_every_code(net, setup):
    graph, x, _ = quantized_net(net, setup)
    assert_agrees(graph, x)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_one_other_state_is_found(kind):
    torch.manual_seed(1)
    net, x = LanguageModel(kind).eval(), ids(6, 11, seed=2)
    graph = quantized(net, x, SETUPS["lsq-w4a4-everywhere"])
    tokens = x.numpy().astype(np.float32)
    values = values_of(lower(graph), tokens)
    values["body.hh_l0"][0, 0, 4, 0] ^= 1
    assert compared(graph, tokens, values)[1].wrong == 1


@pytest.fixture(scope="module")
def case() -> tuple[Graph, np.ndarray, dict[str, np.ndarray]]:
    graph, x, _ = quantized_net("projection", "lsq-w4a4-everywhere")
    return graph, x, values_of(lower(graph), x)


def test_one_other_code_is_found_and_does_not_travel(case):
    graph, x, values = case
    name = list(lower_traceably(graph).codes.values())[2].name
    changed = {**values, name: values[name].copy()}
    changed[name].flat[17] ^= 1
    outputs, codes = compared(graph, x, changed)
    assert codes.wrong == 1
    assert np.array_equal(outputs, compared(graph, x, values)[0])


@pytest.mark.parametrize("factor", [1.001, 1.01])
def test_an_engine_with_another_step_is_found(case, factor):
    graph, x, _ = case
    other = graph.copy()
    slot = other.submodule(next(node for node in other.nodes if other.kind(node).op == "slot"))
    with torch.no_grad():
        slot.quantizer.rule.step.mul_(factor)
    _, codes = compared(graph, x, values_of(lower(other), x))
    assert codes.wrong > 0


def test_weights_that_round_the_other_way_are_found(case):
    graph, x, _ = case
    program = lower(graph)
    place = next(i for i, node in enumerate(program.nodes) if node.op == "conv2d")
    node = program.nodes[place]
    weight = node.attrs["weight"]
    codes = weight.codes.copy()
    codes.flat[0] ^= 1
    nodes = list(program.nodes)
    nodes[place] = replace(node, attrs={**node.attrs, "weight": replace(weight, codes=codes)})
    _, found = compared(graph, x, values_of(replace(program, nodes=tuple(nodes)), x))
    assert found.wrong > 0


@pytest.mark.parametrize(("share", "at_boundary", "wrong"), [(0.5, 1, 0), (2.0, 0, 1)])
def test_a_boundary_is_as_wide_as_the_rounding(share, at_boundary, wrong):
    """A value beside the boundary of two levels, and an engine that took the level on the other side."""
    torch.manual_seed(0)
    x = torch.randn(16, 4)
    graph = quantized(nn.Sequential(nn.Linear(4, 3)), x, Setup(EIGHT, EIGHT, None))
    coded = lower_traceably(graph).codes["slots__0_input"]
    step = float(coded.coding.scale)
    largest = 100 * step
    beside = 40.5 * step - share * ROUNDINGS * ROUNDING * largest  # rounds to 40
    one = np.array([[largest, beside, 0, 0]])
    values = values_of(lower(graph), one.astype(np.float32))
    values[coded.name][0, 1] = 41
    exact = IntegerExact(graph)
    exact.executed = values
    with torch.no_grad():
        exact.run(torch.from_numpy(one))
    assert (exact.codes.at_boundary, exact.codes.wrong) == (at_boundary, wrong)


@pytest.mark.parametrize(
    ("net", "setup", "terms"),
    [("projection", "lsq-w2a2", 0), ("projection", "float ends", 27), ("linear", "float ends", 20)],
)
def test_sums_of_floats_are_counted(net, setup, terms):
    assert longest_float_sum(lower(quantized_net(net, setup)[0])) == terms
