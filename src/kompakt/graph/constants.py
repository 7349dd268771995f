"""Sums and products with a tensor that belongs to the model: a position embedding, a factor for every channel."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from .graph import Graph
from .kind import Kind, Primitive


class _WithConstant(Primitive):
    """A function of x and `value`; a parameter stays one."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        if isinstance(value, nn.Parameter):
            self.value = value
        else:
            self.register_buffer("value", value)


class AddConstant(_WithConstant):
    """x + value, where `value`, (...) or (1, ...), has the shape of one sample."""

    def kind(self) -> Kind:
        return Kind("add_constant")

    def forward(self, x: Tensor) -> Tensor:
        return x + self.value


class ScaleChannels(_WithConstant):
    """x * value for x (N, C, H, W) and `value` (C, 1, 1) or (1, C, 1, 1)."""

    def kind(self) -> Kind:
        return Kind("scale_channels")

    def forward(self, x: Tensor) -> Tensor:
        return x * self.value


_ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
_MULTIPLY = (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_", "multiply")
SPELLINGS: dict[Any, type[_WithConstant]] = {
    **dict.fromkeys(_ADD, AddConstant),
    **dict.fromkeys(_MULTIPLY, ScaleChannels),
}


def use_constants(graph: Graph) -> Graph:
    """Replace additions of a parameter or buffer that has the shape of one sample of the other side, and products with
    one that has a number for every channel.
    """
    for node in graph.nodes:
        operands = [argument for argument in node.args if isinstance(argument, fx.Node)]
        constants = [argument for argument in operands if argument.op == "get_attr"]
        if node.target not in SPELLINGS or len(operands) != 2 or len(constants) != 1 or node.kwargs:
            continue
        value = _attribute(graph, constants[0])
        x = operands[0] if operands[1] is constants[0] else operands[1]
        found = SPELLINGS[node.target]
        if value is None or not _is_legal(found, tuple(value.shape), x.meta.get("shape", ())[1:]):
            continue
        name = f"{node.name}_constant"
        graph.module.add_submodule(name, found(value))
        with graph.module.graph.inserting_before(node):
            made = graph.module.graph.call_module(name, (x,))
        made.meta["owner"] = node.meta.get("owner", "")
        node.replace_all_uses_with(made)
        graph.module.graph.erase_node(node)
        if not constants[0].users:
            graph.module.graph.erase_node(constants[0])
            _remove(graph, str(constants[0].target))
    return graph.refresh()


def _is_legal(found: type[_WithConstant], shape: tuple[int, ...], sample: Sequence[int]) -> bool:
    wanted = tuple(sample)
    if found is ScaleChannels:
        if len(wanted) != 3:
            return False
        wanted = (wanted[0], 1, 1)
    return shape in (wanted, (1, *wanted))


def _attribute(graph: Graph, node: fx.Node) -> Tensor | None:
    parent, _, name = str(node.target).rpartition(".")
    value = getattr(graph.module.get_submodule(parent), name)
    return value if isinstance(value, Tensor) else None


def _remove(graph: Graph, path: str) -> None:
    """The attribute lives on in the new module; two names of one parameter would be saved twice."""
    parent, _, name = path.rpartition(".")
    delattr(graph.module.get_submodule(parent), name)
