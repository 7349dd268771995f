"""Self-attention, whatever way PyTorch spells it, as one operator over tokens (N, T, C)."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from .._core.errors import GraphError
from .graph import Graph, operand
from .kind import Kind, Primitive, node_label

_MATMUL = (operator.matmul, torch.matmul, torch.bmm, "matmul", "bmm")
_SOFTMAX = (F.softmax, torch.softmax, "softmax")
_SCALE = {operator.mul: False, torch.mul: False, "mul": False, operator.truediv: True, torch.div: True, "div": True}
"""Products and quotients with a number; True where the number divides."""


class SelfAttention(Primitive):
    """softmax(q k^T scale) v for each of `heads` equal runs of channels; q, k, v and the result are (N, T, C)."""

    def __init__(self, heads: int, scale: float) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale

    def kind(self) -> Kind:
        return Kind("attention", {"heads": self.heads, "scale": self.scale})

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (
            x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2) for x in (q, k, v)
        )  # (N, heads, T, C / heads)
        weights = (q @ k.transpose(2, 3) * self.scale).softmax(3)
        return (weights @ v).transpose(1, 2).flatten(2)


def use_attention(graph: Graph) -> Graph:
    """Replace every attention of a graph whose numbers are recorded; the moves around it are left to `use_moves`."""
    for node in graph.nodes:
        if node.target is F.scaled_dot_product_attention:
            q, k, v, scale = _fused(node)
            _replace(graph, node, q, k, v, scale)
        elif node.target in _MATMUL and (parts := _explicit(graph, node)) is not None:
            _replace(graph, node, *parts)
    graph.module.graph.eliminate_dead_code()
    return graph.refresh()


def _fused(node: fx.Node) -> tuple[fx.Node, fx.Node, fx.Node, float]:
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale")
    given: dict[str, Any] = {**dict(zip(names, node.args, strict=False)), **node.kwargs}
    if given.get("attn_mask") is not None or given.get("is_causal") or given.get("dropout_p"):
        raise GraphError(
            f"{node_label(node)}: attention with a mask, is_causal or dropout in evaluation is not supported; leave "
            "them out"
        )
    q = given["query"]
    scale = given.get("scale") or q.meta["shape"][-1] ** -0.5
    return q, given["key"], given["value"], float(scale)


def _explicit(graph: Graph, product: fx.Node) -> tuple[fx.Node, fx.Node, fx.Node, float] | None:
    """Operands of softmax(q @ k.transpose(-2, -1) * scale) @ v; None for another product."""
    weights = _behind_dropout(graph, operand(product))
    if not _is_softmax(graph, weights):
        return None
    scores, scale = _unscaled(operand(weights))
    if scores.target not in _MATMUL:
        return None
    q, before = _unscaled(operand(scores))
    keys, after = _unscaled(operand(scores, 1))
    with graph.module.graph.inserting_before(product):
        k = graph.module.graph.call_method("transpose", (keys, -2, -1))
    k.meta["owner"] = product.meta.get("owner", "")
    return q, k, operand(product, 1), scale * before * after


def _behind_dropout(graph: Graph, node: fx.Node) -> fx.Node:
    while node.op == "call_module" and isinstance(graph.submodule(node), nn.Dropout | nn.Identity):
        node = operand(node)
    return node


def _is_softmax(graph: Graph, node: fx.Node) -> bool:
    if node.op == "call_module":
        module = graph.submodule(node)
        return isinstance(module, nn.Softmax) and module.dim in (-1, 3)
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return node.target in _SOFTMAX and dim in (-1, 3)


def _unscaled(node: fx.Node) -> tuple[fx.Node, float]:
    """The tensor and the number of a product or quotient; (node, 1) for anything else."""
    if node.target not in _SCALE or len(node.args) != 2:
        return node, 1.0
    first, second = (_number(argument) for argument in node.args)
    if second is not None and isinstance(node.args[0], fx.Node):
        return node.args[0], 1 / second if _SCALE[node.target] else second
    if first is not None and isinstance(node.args[1], fx.Node) and not _SCALE[node.target]:
        return node.args[1], first
    return node, 1.0


def _number(argument: Any) -> float | None:
    if isinstance(argument, fx.Node):
        argument = argument.meta.get("number")
    return float(argument) if isinstance(argument, int | float) else None


def _replace(graph: Graph, node: fx.Node, q: fx.Node, k: fx.Node, v: fx.Node, scale: float) -> None:
    """From and to (N, heads, T, C / heads) by moves."""
    shapes: list[Any] = [operand_node.meta.get("shape") for operand_node in (q, v, node)]
    if any(shape is None or len(shape) != 4 or shape != shapes[0] for shape in shapes):
        raise GraphError(
            f"{node_label(node)}: attention takes queries, keys and values (N, heads, T, C) of one shape, got "
            f"{' and '.join(map(str, shapes))}; only self-attention is supported"
        )
    heads = shapes[0][1]
    name = f"{node.name}_attention"
    graph.module.add_submodule(name, SelfAttention(heads, scale))
    made, owner = graph.module.graph, node.meta.get("owner", "")
    with made.inserting_before(node):
        flat = [made.call_method("flatten", (made.call_method("transpose", (x, 1, 2)), 2)) for x in (q, k, v)]
        value = made.call_module(name, tuple(flat))
        split = made.call_method("unflatten", (value, 2, (heads, -1)))
        back = made.call_method("transpose", (split, 1, 2))
    for new in (*flat, *(operand(x) for x in flat), value, split, back):
        new.meta["owner"] = owner
    node.replace_all_uses_with(back)
    made.erase_node(node)
