"""Fold batch-norm into the convolution or linear layer before it: an exact rewrite (up to float rounding)."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from .graph import Graph, operand
from .shift_norm import ShiftBatchNorm
from .spec import check


def batch_norm_affine(norm: nn.BatchNorm1d | nn.BatchNorm2d | ShiftBatchNorm) -> tuple[Tensor, Tensor]:
    """Batch-norm in evaluation as y = x·m + b: m = γ/√(σ²+ε), b = β - μ·m, float64 (C,)."""
    if isinstance(norm, ShiftBatchNorm):
        return norm.affine()
    assert norm.running_mean is not None, "kinds without running statistics are refused"
    assert norm.running_var is not None
    deviation = torch.sqrt(norm.running_var.detach().double() + norm.eps)
    gamma = norm.weight.detach().double() if norm.affine else torch.ones_like(deviation)
    beta = norm.bias.detach().double() if norm.affine else torch.zeros_like(deviation)
    multiplier = gamma / deviation
    return multiplier, beta - norm.running_mean.detach().double() * multiplier


def fold_batch_norm(graph: Graph) -> Graph:
    """A copy of the graph where every batch-norm that alone follows a float layer is folded into its weight and bias.

    Layers whose weight has a quantizer keep their batch-norm: lowering folds it into the epilogue.
    """
    graph = graph.copy()
    for node in graph.nodes:
        if graph.kind(node).op == "batch_norm" and _is_foldable(graph, operand(node)):
            _fold(graph, operand(node), node)
    graph.module.delete_all_unused_submodules()
    return check(graph.refresh())


def _is_foldable(graph: Graph, before: fx.Node) -> bool:
    if before.op == "placeholder" or graph.kind(before).op not in ("conv2d", "linear") or len(before.users) != 1:
        return False
    return not parametrize.is_parametrized(graph.submodule(before))


def _fold(graph: Graph, layer_node: fx.Node, norm_node: fx.Node) -> None:
    layer = graph.submodule(layer_node)
    multiplier, offset = batch_norm_affine(graph.submodule(norm_node))
    by_output = multiplier.reshape(-1, *[1] * (layer.weight.dim() - 1))
    bias = layer.bias.detach().double() if layer.bias is not None else torch.zeros_like(offset)
    layer.weight = nn.Parameter((layer.weight.detach().double() * by_output).float())
    layer.bias = nn.Parameter((bias * multiplier + offset).float())
    norm_node.replace_all_uses_with(layer_node)
    graph.module.graph.erase_node(norm_node)
