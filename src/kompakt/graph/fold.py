"""Fold batch-norm into the convolution or linear layer before it: an exact rewrite (up to float rounding)."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from .graph import Graph
from .spec import check


def batch_norm_affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Batch-norm in evaluation as y = x·m + b: m = γ/√(σ²+ε), b = β - μ·m, float64 (C,)."""
    deviation = torch.sqrt(norm.running_var.detach().double() + norm.eps)
    gamma = norm.weight.detach().double() if norm.affine else torch.ones_like(deviation)
    beta = norm.bias.detach().double() if norm.affine else torch.zeros_like(deviation)
    multiplier = gamma / deviation
    return multiplier, beta - norm.running_mean.detach().double() * multiplier


def fold_batch_norm(graph: Graph) -> Graph:
    """A copy of the graph where every batch-norm that alone follows a layer is folded into its weight and bias."""
    graph = graph.copy()
    for node in list(graph.nodes):
        if graph.kind(node).op == "batch_norm" and _layer_before(graph, node) is not None:
            _fold(graph, _layer_before(graph, node), node)
    graph.module.graph.eliminate_dead_code()
    return check(graph.refresh())


def _layer_before(graph: Graph, node: fx.Node) -> fx.Node | None:
    before = node.args[0]
    is_layer = before.op == "call_module" and graph.kind(before).op in ("conv2d", "linear")
    return before if is_layer and len(before.users) == 1 else None


def _fold(graph: Graph, layer_node: fx.Node, norm_node: fx.Node) -> None:
    layer = graph.submodule(layer_node)
    multiplier, offset = batch_norm_affine(graph.submodule(norm_node))
    shape = (-1,) + (1,) * (layer.weight.dim() - 1)
    bias = layer.bias.detach().double() if layer.bias is not None else torch.zeros_like(offset)
    layer.weight = nn.Parameter((layer.weight.detach().double() * multiplier.reshape(shape)).float())
    layer.bias = nn.Parameter((bias * multiplier + offset).float())
    norm_node.replace_all_uses_with(layer_node)
    graph.module.graph.erase_node(norm_node)
