"""Costs of an integer program, exact and without running it: multiply-adds, bit operations, bytes. No torch.

MACs: one multiply-add per weight and output position, padded positions included; only products with weights count.
BOPs: MACs x weight bits x activation bits; a float counts as 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from ..artifact import FloatWeight, Node, Program, ValueType, Weight, check
from ..encoding import Affine, Planes, packed_bytes

FLOAT_BITS = 32
RECURRENT = ("lstm", "gru")
"""Operators whose weights multiply their own state."""


@dataclass(frozen=True)
class NodeCost:
    """Costs of one node for one image.

    Attributes:
        name, op: the node's.
        shape: the weight's, () without one.
        macs: multiply-adds.
        weight_bits: bits of a stored weight, 32 for floats, 0 without weights.
        activation_bits: bits of what is multiplied, the first input's elements or the state's; 32 for floats and sums.
        weight_bytes: packed codes and their bases, or floats.
        table_bytes: everything else the node takes from the file's sections: scales, offsets, thresholds, directions.
        activation_bytes: the value that the node gives, stored by itself: codes in their bits, else 4 bytes each.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    macs: int
    weight_bits: int
    activation_bits: int
    weight_bytes: int
    table_bytes: int
    activation_bytes: int

    @property
    def bops(self) -> int:
        """MACs x weight bits x activation bits."""
        return self.macs * self.weight_bits * self.activation_bits

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return prod(self.shape) if self.shape else 0


@dataclass(frozen=True)
class ProgramCost:
    """Costs of a program for one image: per node, and their sums.

    Attributes:
        nodes: in execution order.
        input_bytes: the float32 input.
        peak_bytes: the most that is alive at once, a node's inputs and its value included, if every value is dropped
            after its last use. What a simple executor needs; fusing and working in place need less.
    """

    nodes: tuple[NodeCost, ...]
    input_bytes: int
    peak_bytes: int

    @property
    def layers(self) -> tuple[NodeCost, ...]:
        """The nodes that have weights."""
        return tuple(node for node in self.nodes if node.shape)

    @property
    def macs(self) -> int:
        """Multiply-adds of all layers."""
        return sum(node.macs for node in self.nodes)

    @property
    def bops(self) -> int:
        """Bit operations of all layers."""
        return sum(node.bops for node in self.nodes)

    @property
    def parameters(self) -> int:
        """Number of weights of all layers."""
        return sum(node.parameters for node in self.nodes)

    @property
    def weight_bytes(self) -> int:
        """Packed weights of all layers, bases included."""
        return sum(node.weight_bytes for node in self.nodes)

    @property
    def table_bytes(self) -> int:
        """Scales, offsets, thresholds and directions of all nodes."""
        return sum(node.table_bytes for node in self.nodes)

    @property
    def activation_bytes(self) -> int:
        """All values that nodes give, as if each were kept."""
        return sum(node.activation_bytes for node in self.nodes)


def program_cost(program: Program) -> ProgramCost:
    """Costs of every node. Raises: ArtifactError if the program is not legal."""
    types = check(program)
    nodes = tuple(_node_cost(node, types) for node in program.nodes)
    sizes = {name: _value_bytes(value) for name, value in types.items()}
    return ProgramCost(nodes, sizes[program.input_name], _peak_bytes(program, sizes))


def layer_costs(program: Program) -> tuple[NodeCost, ...]:
    """Costs of the nodes that have weights. Raises: ArtifactError if the program is not legal."""
    return program_cost(program).layers


def _node_cost(node: Node, types: Mapping[str, ValueType]) -> NodeCost:
    weight = node.attrs.get("weight")
    value = types[node.name]
    positions = prod(value.shape[1:])  # of the output map; 1 for linear layers
    return NodeCost(
        name=node.name,
        op=node.op,
        shape=() if weight is None else weight.shape,
        macs=0 if weight is None or node.op == "embedding" else prod(weight.shape) * positions,
        weight_bits=0 if weight is None else weight.bits,
        activation_bits=_bits(value if node.op in RECURRENT else types[node.inputs[0]]),
        weight_bytes=0 if weight is None else _weight_bytes(weight),
        table_bytes=sum(array.nbytes for array in node.attrs.values() if isinstance(array, np.ndarray)),
        activation_bytes=_value_bytes(value),
    )


def _bits(value: ValueType) -> int:
    return FLOAT_BITS if value.encoding is None else value.encoding.bits


def _value_bytes(value: ValueType) -> int:
    return (prod(value.shape) * _bits(value) + 7) // 8


def _weight_bytes(weight: Weight | FloatWeight) -> int:
    if isinstance(weight, FloatWeight):
        return weight.values.nbytes
    encoding = weight.encoding
    if isinstance(encoding, Affine):
        entries = 0
    else:
        entries = encoding.basis.size if isinstance(encoding, Planes) else encoding.levels.size
    return packed_bytes(weight.codes.size, encoding) + int(entries)


def _peak_bytes(program: Program, sizes: Mapping[str, int]) -> int:
    last_use = {name: index for index, node in enumerate(program.nodes) for name in node.inputs}
    alive = peak = sizes[program.input_name]
    for index, node in enumerate(program.nodes):
        alive += sizes[node.name]
        peak = max(peak, alive)
        alive -= sum(sizes[name] for name in set(node.inputs) if last_use[name] == index)
    return peak
