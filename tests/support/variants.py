"""Programs of several bit-widths, made of any program: every weight of fewer bits is the beginning of the whole one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kompakt.artifact import Node, Program, Weight
from kompakt.encoding import Table

WIDTHS = (8, 4, 2, 1)


def with_variants(program: Program, widths: tuple[int, ...] = WIDTHS) -> Program:
    """The program as the highest bit-width, and one of each lower: the same nodes, weights at so many bits or fewer."""
    variants = [
        replace(program, nodes=tuple(_at(node, bits) for node in program.nodes), bits=bits) for bits in widths[1:]
    ]
    return replace(program, bits=widths[0], variants=tuple(variants))


def _at(node: Node, bits: int) -> Node:
    weight = node.attrs.get("weight")
    # An embedding's codes are values, whose encoding other nodes rely on.
    if not isinstance(weight, Weight) or weight.bits <= bits or node.op == "embedding":
        return node
    dropped = weight.bits - bits
    # A cell's level is its first one's, so that no sum becomes larger. -128, which may not be a level, becomes -127.
    levels = np.maximum(weight.encoding.table()[:, :: 1 << dropped], -127).astype(np.int16)
    return Node(
        node.op, node.name, node.inputs, {**node.attrs, "weight": Weight(weight.codes >> dropped, Table(bits, levels))}
    )
