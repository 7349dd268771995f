"""Costs by hand, and against what the file and the reference really hold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kompakt._core.errors import ArtifactError
from kompakt.artifact import FloatWeight, Node, Program, Weight, sections, to_bytes
from kompakt.encoding import Affine, Planes
from kompakt.engine.reference import run_all
from kompakt.measure import NodeCost, layer_costs, program_cost
from support.programs import random_input, random_program, resnet_like_program
from support.twin import twin_program


def small_program() -> Program:
    """3 x 8 x 8, 2-bit codes, 4 planes of weights with stride 2, then a float linear layer."""
    planes = Weight(np.zeros((5, 3, 3, 3), np.uint8), Planes(4, np.ones((5, 4), int)))
    row = np.ones(5, np.float32)
    nodes = (
        Node("quantize", "q", ("input",), {"encoding": Affine(2), "inv_step": 1.0}),
        Node("conv2d", "c", ("q",), {"weight": planes, "stride": (2, 2), "padding": (1, 1)}),
        Node("affine", "a", ("c",), {"m": row, "b": row}),
        Node("sum_pool", "p", ("a",)),
        Node("flatten", "f", ("p",)),
        Node("linear", "l", ("f",), {"weight": FloatWeight(np.ones((7, 5), np.float32))}),
    )
    return Program((3, 8, 8), nodes, "l")


def test_costs_by_hand() -> None:
    cost = program_cost(small_program())
    conv = NodeCost(
        name="c",
        op="conv2d",
        shape=(5, 3, 3, 3),
        macs=5 * 27 * 16,
        weight_bits=4,
        activation_bits=2,
        weight_bytes=4 * 17 + 20,
        table_bytes=0,
        activation_bytes=5 * 16 * 4,
    )
    assert cost.nodes[1] == conv
    assert conv.bops == 5 * 27 * 16 * 8
    assert conv.parameters == 135
    quantize, affine, linear = cost.nodes[0], cost.nodes[2], cost.nodes[5]
    assert (quantize.activation_bytes, quantize.activation_bits, quantize.macs, quantize.bops) == (48, 32, 0, 0)
    assert (quantize.weight_bits, quantize.parameters) == (0, 0)
    assert affine.table_bytes == 40
    assert (linear.macs, linear.bops, linear.weight_bytes) == (35, 35 * 1024, 140)
    assert (cost.macs, cost.bops) == (conv.macs + 35, conv.bops + 35 * 1024)
    assert (cost.parameters, cost.weight_bytes, cost.table_bytes) == (170, 88 + 140, 40)
    assert cost.input_bytes == 3 * 64 * 4


def test_layers_are_the_nodes_with_weights() -> None:
    assert [layer.name for layer in layer_costs(twin_program())] == ["c1", "c2", "cf", "gu", "l"]


def test_groups_divide_the_work() -> None:
    def cost(groups: int) -> int:
        weight = FloatWeight(np.ones((8, 8 // groups, 3, 3), np.float32))
        conv = Node("conv2d", "c", ("input",), {"weight": weight, "groups": groups, "padding": (1, 1)})
        return program_cost(Program((8, 6, 6), (conv,), "c")).macs

    assert cost(1) == 8 * 8 * 9 * 36
    assert cost(8) == cost(1) // 8


@pytest.mark.parametrize("seed", range(40))
def test_bytes_are_those_of_the_file(seed: int) -> None:
    program = random_program(seed)
    cost, lengths = program_cost(program), sections(to_bytes(program))
    assert cost.weight_bytes + cost.table_bytes == sum(lengths.values()) - lengths["header"] - lengths["manifest"]


@pytest.mark.parametrize("seed", range(10))
def test_activation_bytes_are_those_of_the_values(seed: int) -> None:
    program = random_program(seed)
    values = run_all(program, random_input(program, seed, batch=1))
    for node, cost in zip(program.nodes, program_cost(program).nodes, strict=True):
        if values[node.name].dtype != np.uint8:
            assert cost.activation_bytes == values[node.name].nbytes
        else:
            assert cost.activation_bytes <= values[node.name].nbytes


def test_peak_of_a_chain_is_its_largest_pair() -> None:
    cost = program_cost(small_program())
    # The input and its codes are alive together.
    assert cost.peak_bytes == 768 + 48


def test_peak_counts_a_waiting_shortcut() -> None:
    nodes = (
        Node("clamp", "a", ("input",)),
        Node("clamp", "b", ("a",)),
        Node("add", "s", ("b", "a")),
    )
    cost = program_cost(Program((100,), nodes, "s"))
    assert cost.peak_bytes == 3 * 400
    assert cost.activation_bytes == 3 * 400


def test_cifar_resnet20_has_its_published_multiply_adds() -> None:
    program = resnet_like_program(0, widths=(16, 32, 64), size=32, blocks=3)
    cost = program_cost(program)
    # He et al. 2016: 0.27 M parameters, 41 M multiply-adds (parameter-free shortcuts).
    assert cost.parameters == 432 + 6 * 2304 + 4608 + 5 * 9216 + 18432 + 5 * 36864 + 640
    assert 40.5e6 < cost.macs < 41.5e6
    two_bits = [layer for layer in cost.layers if layer.weight_bits == 2]
    assert len(two_bits) == 18
    assert all(layer.bops == 4 * layer.macs for layer in two_bits)


def test_costs_are_frozen() -> None:
    cost = program_cost(small_program())
    with pytest.raises(dataclasses.FrozenInstanceError):
        cost.peak_bytes = 0  # type: ignore[misc]


def test_an_illegal_program_is_refused() -> None:
    with pytest.raises(ArtifactError, match="no earlier node"):
        program_cost(Program((4,), (Node("clamp", "c", ("nothing",)),), "c"))
