"""Costs of an integer program: multiply-adds, bit operations, weight bytes, activation bytes. NumPy only.

MACs count one multiply-add per weight and output position (padding included). BOPs = MACs x weight bits x activation bits; a
float counts as 32 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..artifact import FloatWeight, Node, Program, ValueType, check
from ..encoding import packed_bytes

FLOAT_BITS = 32


@dataclass(frozen=True)
class LayerCost:
    """Cost of one layer (a node with weights) for one sample.

    Attributes:
        macs, bops: counts. weight_bits, activation_bits: 32 for floats.
        weight_bytes: packed codes with their bases, or floats. parameters: number of weights.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    macs: int
    weight_bits: int
    activation_bits: int
    weight_bytes: int

    @property
    def parameters(self) -> int:
        return prod(self.shape)

    @property
    def bops(self) -> int:
        return self.macs * self.weight_bits * self.activation_bits


def layer_costs(program: Program) -> tuple[LayerCost, ...]:
    """Cost of every layer, in order. Raises: ArtifactError if the program is not legal."""
    types = check(program)
    return tuple(_layer(node, types) for node in program.nodes if "weight" in node.attrs)


def activation_bytes(program: Program) -> dict[str, int]:
    """Bytes of every value of one sample if it were stored by itself: floats and sums 4 bytes, codes their bits, rounded up."""
    return {name: -(-prod(value.shape) * _bits(value) // 8) for name, value in check(program).items()}


def _bits(value: ValueType) -> int:
    return value.encoding.bits if value.encoding is not None else FLOAT_BITS


def _layer(node: Node, types: dict[str, ValueType]) -> LayerCost:
    weight = node.attrs["weight"]
    positions = prod(types[node.name].shape[1:])  # of the output map; 1 for linear layers
    if isinstance(weight, FloatWeight):
        shape, bits, size = weight.values.shape, FLOAT_BITS, weight.values.nbytes
    else:
        shape, bits = weight.codes.shape, weight.encoding.bits
        size = packed_bytes(weight.codes.size, weight.encoding) + _parameter_bytes(weight.encoding)
    return LayerCost(node.name, node.op, shape, prod(shape) * positions, bits, _bits(types[node.inputs[0]]), size)


def _parameter_bytes(encoding: object) -> int:
    """Bytes that an encoding takes in the section of bases (one per entry)."""
    rows = getattr(encoding, "basis", None)
    rows = getattr(encoding, "levels", None) if rows is None else rows
    return 0 if rows is None else int(rows.size)
