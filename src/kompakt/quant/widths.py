"""One network at several bit-widths: its weights are one, everything else is each bit-width's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .._core.errors import QuantizerError
from ..graph import Graph
from .slots import WeightSlot


@final
class Widths(nn.Module):
    """Networks of several bit-widths over one set of weights; runs as the one that is in use.

    Layers share their weight tensors and the parameters of its codes. Batch-norm with its statistics, biases and
    activation quantizers are of each bit-width alone.

    Args:
        graphs: the quantized graphs of one network by bit-width, calibrated. Their weights are shared here: those of
            the highest bit-width stay, and the rules of the lowest, to which a clip matters most.
    Raises: QuantizerError for fewer than two, or where weights have quantizers in one graph only.
    """

    losses: Tensor
    """Running mean of each bit-width's loss in training, (K,), highest bit-width first; infinite before the first."""

    def __init__(self, graphs: Mapping[int, Graph]) -> None:
        super().__init__()
        if len(graphs) < 2:
            raise QuantizerError(f"several bit-widths are needed, got {list(graphs)}")
        self.graphs = dict(sorted(graphs.items(), reverse=True))
        self.active = max(graphs)
        _share(list(self.graphs.values()))
        self.networks = nn.ModuleDict({str(bits): graph.module for bits, graph in self.graphs.items()})
        self.register_buffer("losses", torch.full((len(graphs),), torch.inf))

    @property
    def bits(self) -> tuple[int, ...]:
        """The bit-widths, highest first."""
        return tuple(self.graphs)

    def use(self, bits: int) -> None:
        """From now on `forward` is the network of this bit-width. Raises: QuantizerError naming those there are."""
        if bits not in self.graphs:
            raise QuantizerError(f"no network of {bits} bits; there are {', '.join(map(str, self.bits))}")
        self.active = bits

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.networks[str(self.active)](x)
        return y


def networks_of(module: nn.Module) -> Iterator[tuple[int | None, nn.Module]]:
    """Every network that a module is: of several bit-widths all, highest first; else itself, without bits."""
    if isinstance(module, Widths):
        yield from ((bits, module.networks[str(bits)]) for bits in module.bits)
    else:
        yield None, module


def _share(graphs: list[Graph]) -> None:
    for nodes in zip(*(graph.layers() for graph in graphs), strict=True):
        layers = [graph.submodule(node) for graph, node in zip(graphs, nodes, strict=True)]
        quantized = [_has_slot(layer) for layer in layers]
        if len(set(quantized)) > 1:
            raise QuantizerError(f"{nodes[0].target}.weight: quantized at some bit-widths, float at others")
        for layer in layers:
            if not quantized[0]:
                layer.weight = layers[0].weight
                continue
            layer.parametrizations.weight.original = layers[0].parametrizations.weight.original
            layer.parametrizations.weight[0].quantizer.rule = layers[-1].parametrizations.weight[0].quantizer.rule


def _has_slot(layer: Any) -> bool:
    return parametrize.is_parametrized(layer, "weight") and isinstance(
        cast(Any, layer.parametrizations).weight[0], WeightSlot
    )
