"""What a bit of a layer costs, for methods that learn bit-widths: the same everywhere, or by multiply-adds or bytes."""

from __future__ import annotations

from math import prod
from typing import Literal

from torch import fx
from torch.nn.utils import parametrize

from ..graph import Graph
from .assigned_bits import AssignedBits
from .learned_bits import LearnedBits
from .quantizer import Quantizer
from .slots import WeightSlot

Criterion = Literal["bits", "macs", "bytes"]


def share_out(graph: Graph, criterion: Criterion, mean_bits: float) -> None:
    """Give every quantizer whose bit-width changes its share of the cost; the mean share is 1.

    Args:
        criterion: "bits": all alike. "macs": multiply-adds that a layer's weights, or the layers behind activations,
            take part in. "bytes": numbers that are stored, of activations those of one sample.
        mean_bits: per weight, for methods that assign bits within a budget.
    Source: Nikolić et al., "BitPruning", arXiv 2002.03090, on the weights λ of its regularizer.
    """
    costs = {q.rule: cost for q, cost in _costs(graph, criterion).items()}
    changing = {rule: cost for rule, cost in costs.items() if isinstance(rule, LearnedBits | AssignedBits)}
    total = sum(changing.values())
    for rule, cost in changing.items():
        rule.share = cost * len(changing) / total if total else 1.0
        if isinstance(rule, AssignedBits):
            rule.mean_bits = mean_bits


def _costs(graph: Graph, criterion: Criterion) -> dict[Quantizer, float]:
    found: dict[Quantizer, float] = {}
    for node in graph.layers():
        layer = graph.submodule(node)
        if parametrize.is_parametrized(layer, "weight") and isinstance(layer.parametrizations.weight[0], WeightSlot):
            weights = layer.parametrizations.weight.original.numel()
            cost = {"bits": 1, "macs": _macs(graph, node), "bytes": weights}[criterion]
            found[layer.parametrizations.weight[0].quantizer] = cost
    for node in graph.nodes:
        if graph.kind(node).op == "slot":
            behind = sum(_macs(graph, user) for user in node.users if user in graph.products())
            cost = {"bits": 1, "macs": behind, "bytes": prod(node.meta["shape"][1:])}[criterion]
            found[graph.submodule(node).quantizer] = cost
    return found


def _macs(graph: Graph, node: fx.Node) -> int:
    """Multiply-adds of a convolution or linear layer for one sample; 0 of any other."""
    if node not in graph.products():
        return 0
    weight = graph.submodule(node).weight
    return int(prod(node.meta["shape"][1:]) // weight.shape[0] * weight.numel())
