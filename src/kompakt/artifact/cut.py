"""Programs with fewer bits, made from the file alone: nested codes lose their last bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .._core.errors import InputError, nearest
from ..encoding import Table
from ..ops.nested import merged
from .program import Node, Program
from .weight import Weight


def nested_layers(program: Program) -> dict[str, int]:
    """Bits of the layers that can be cut, by name: those whose weights have a table of ascending levels."""
    return {node.name: node.attrs["weight"].bits for node in program.nodes if _is_nested(node)}


def cut(program: Program, bits: Mapping[str, int]) -> Program:
    """The program with the named layers' weights at so many bits; nothing else changes, no data are needed.

    A code loses its last bits; the level of what two codes become is the mean of theirs, weighted by how often the
    file has them and rounded half to even. So cutting in steps gives the same as cutting at once.

    Raises: InputError for a layer that cannot be cut, or for more bits than it has.
    """
    if program.variants:
        raise InputError("a file of several bit-widths is not cut layer by layer; take one bit-width of it")
    possible = nested_layers(program)
    for name, wanted in bits.items():
        if name not in possible:
            raise InputError(f"{name}: not a layer of nested codes; {nearest(name, possible)}")
        if not 1 <= wanted <= possible[name]:
            raise InputError(f"{name}: has {possible[name]} bits, expected 1 to that many, got {wanted}")
    return replace(program, nodes=tuple(_cut_node(node, bits.get(node.name)) for node in program.nodes))


def coarser(weight: Weight, bits: int) -> Weight:
    """A weight of nested codes at `bits` bits."""
    codes, table = weight.codes, weight.encoding.table().astype(np.int64)
    for size in range(weight.bits - 1, bits - 1, -1):
        rows = codes.reshape(len(table), -1)
        counts = [np.bincount(row, minlength=2 ** (size + 1)) for row in rows]
        table = np.stack([merged(levels, count) for levels, count in zip(table, counts, strict=True)])
        codes = codes >> 1
    return Weight(codes, Table(bits, table.astype(np.int16)))


def _cut_node(node: Node, bits: int | None) -> Node:
    if bits is None or bits == node.attrs["weight"].bits:
        return node
    return Node(node.op, node.name, node.inputs, {**node.attrs, "weight": coarser(node.attrs["weight"], bits)})


def _is_nested(node: Node) -> bool:
    weight = node.attrs.get("weight")
    if not isinstance(weight, Weight) or not isinstance(weight.encoding, Table):
        return False
    return bool((np.diff(weight.encoding.table().astype(np.int64), axis=1) >= 0).all())
