"""Cross-layer equalization: neighbouring layers share their channel ranges, and the float function stays the same."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from .graph import Graph, operand
from .spec import check

SWEEPS = 20
SMALLEST_RANGE = 1e-8


def equalize(graph: Graph) -> Graph:
    """A copy of the graph whose layer pairs have equal weight ranges per channel between them.

    A pair is a layer that alone feeds another one, through ReLU and max-pool only, for which f(s·x) = s·f(x), s > 0.
    Output channel c of the first is divided by s_c = √(r1_c / r2_c) and input channel c of the second multiplied by it;
    r are the largest magnitudes of a channel's weights. Repeated over all pairs, since a layer may be in two.

    Batch-norm between the layers of a pair hides it: fold it first.

    Source: Nagel et al., "Data-Free Quantization through Weight Equalization and Bias Correction", ICCV 2019, sec. 4.1.
    """
    graph = graph.copy()
    pairs = [(first, node) for node in graph.products() if (first := _partner(graph, node)) is not None]
    for _ in range(SWEEPS):
        for first, second in pairs:
            _share(graph.submodule(first), graph.submodule(second))
    return check(graph.refresh())


def _partner(graph: Graph, node: fx.Node) -> fx.Node | None:
    """The layer before `node` if nothing but scale-keeping nodes lies between them."""
    before = operand(node)
    while before.op != "placeholder" and len(before.users) == 1:
        kind = graph.kind(before)
        if kind.op in ("conv2d", "linear"):
            return before if graph.submodule(before).weight.shape[0] == _inputs(graph.submodule(node)) else None
        keeps_scale = kind.op in ("max_pool", "identity") or (kind.op == "clamp" and _is_relu(kind.attrs))
        if not keeps_scale:
            return None
        before = operand(before)
    return None


def _is_relu(attrs: dict[str, Any]) -> bool:
    return bool(attrs["lo"] == 0 and attrs["hi"] == float("inf"))


def _inputs(layer: Any) -> int:
    return int(getattr(layer, "in_channels", None) or layer.in_features)


@torch.no_grad()
def _share(first: Any, second: Any) -> None:
    """Divide the outputs of `first` and multiply the inputs of `second` by one factor per channel."""
    outgoing = first.weight.detach().flatten(1).abs().amax(1)
    incoming = _by_input(second).flatten(1).abs().amax(1)
    alive = (outgoing > SMALLEST_RANGE) & (incoming > SMALLEST_RANGE)
    factor = torch.where(alive, (outgoing / incoming.clamp_min(SMALLEST_RANGE)).sqrt(), torch.ones_like(outgoing))
    first.weight.div_(factor.reshape(-1, *[1] * (first.weight.dim() - 1)))
    if first.bias is not None:
        first.bias.div_(factor)
    groups = getattr(second, "groups", 1)
    per_group = factor.reshape(groups, 1, -1)  # weight (O, I / groups, ...): group g sees its own input channels
    weight = second.weight.reshape(groups, second.weight.shape[0] // groups, per_group.shape[2], -1)
    second.weight.copy_((weight * per_group[..., None]).reshape(second.weight.shape))


def _by_input(layer: Any) -> Tensor:
    """Weights with the input channel first, (I, ...)."""
    groups = getattr(layer, "groups", 1)
    weight: Tensor = layer.weight.detach()
    split = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return split.transpose(1, 2).reshape(groups * weight.shape[1], -1)
