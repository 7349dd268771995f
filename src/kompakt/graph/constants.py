"""Additions of a tensor that belongs to the model (a position embedding), as an operator of its own."""

from __future__ import annotations

import operator

import torch
from torch import Tensor, fx, nn

from .graph import Graph
from .kind import Kind, Primitive

_ADD = (operator.add, operator.iadd, torch.add, "add", "add_")


class AddConstant(Primitive):
    """x + value, where `value`, (...) or (1, ...), has the shape of one sample; a parameter stays one."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        if isinstance(value, nn.Parameter):
            self.value = value
        else:
            self.register_buffer("value", value)

    def kind(self) -> Kind:
        return Kind("add_constant")

    def forward(self, x: Tensor) -> Tensor:
        return x + self.value


def use_constants(graph: Graph) -> Graph:
    """Replace additions of a parameter or buffer that has the shape of one sample of the other side."""
    for node in graph.nodes:
        operands = [argument for argument in node.args if isinstance(argument, fx.Node)]
        constants = [argument for argument in operands if argument.op == "get_attr"]
        if node.target not in _ADD or len(operands) != 2 or len(constants) != 1 or node.kwargs:
            continue
        value = _attribute(graph, constants[0])
        x = operands[0] if operands[1] is constants[0] else operands[1]
        sample = x.meta.get("shape", ())[1:]
        if value is None or tuple(value.shape) not in (sample, (1, *sample)):
            continue
        name = f"{node.name}_constant"
        graph.module.add_submodule(name, AddConstant(value))
        with graph.module.graph.inserting_before(node):
            made = graph.module.graph.call_module(name, (x,))
        made.meta["owner"] = node.meta.get("owner", "")
        node.replace_all_uses_with(made)
        graph.module.graph.erase_node(node)
        if not constants[0].users:
            graph.module.graph.erase_node(constants[0])
            _remove(graph, str(constants[0].target))
    return graph.refresh()


def _attribute(graph: Graph, node: fx.Node) -> Tensor | None:
    parent, _, name = str(node.target).rpartition(".")
    value = getattr(graph.module.get_submodule(parent), name)
    return value if isinstance(value, Tensor) else None


def _remove(graph: Graph, path: str) -> None:
    """The attribute lives on in the new module; two names of one parameter would be saved twice."""
    parent, _, name = path.rpartition(".")
    delattr(graph.module.get_submodule(parent), name)
