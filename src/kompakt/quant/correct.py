"""After calibration, without training: better rounding of weights, and biases that undo the mean error.

One pass through the quantized network: every layer is corrected for the inputs that the corrected layers before it
really produce, and its result goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from ..graph import Graph
from .gptq import rounded_to_outputs
from .slots import WeightSlot

Rounding = Literal["nearest", "gptq"]


def correct(
    graph: Graph, original: Graph, batch: Tensor, rounding: Rounding, bias: bool,
    on_layer: Callable[[str, int, int], None] = lambda name, index, count: None,
) -> None:  # fmt: skip
    """Correct the weights and biases of `graph` in place.

    Args:
        graph: calibrated, with the layers of `original` under the same names.
        original: the float network.
        batch: calibration images (N, ...).
        rounding: "gptq" rounds each weight so that the layer's outputs stay near, "nearest" leaves the weights.
        bias: whether every output channel's mean over the batch becomes that of the float network.
        on_layer: told name, index and number of layers.
    Source of the bias correction: Nagel et al., ICCV 2019, section 4.2, on data instead of batch-norm statistics.
    """
    graph.module.eval()
    with torch.no_grad():
        means = _Means(original).of(batch) if bias else {}
        _Corrector(graph, means, rounding, on_layer).run(batch)


def channel_means(y: Tensor) -> Tensor:
    """Mean of every channel of (N, C), (N, T, C) or (N, C, H, W), float64 (C,)."""
    return y.double().mean([d for d in range(y.dim()) if d != _channel_axis(y)])


def _channel_axis(y: Tensor) -> int:
    return 2 if y.dim() == 3 else 1


class _Means(fx.Interpreter):
    """Runs a network and keeps the channel means of its layers."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph.module)
        self.layers = {str(node.target) for node in graph.products()}
        self.means: dict[str, Tensor] = {}

    def of(self, batch: Tensor) -> dict[str, Tensor]:
        self.module.eval()
        self.run(batch)
        return self.means

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        y = super().call_module(target, args, kwargs)
        if target in self.layers:
            self.means[target] = channel_means(y)
        return y


class _Corrector(fx.Interpreter):
    """Runs a quantized network, and corrects each layer before its result goes on."""

    def __init__(
        self, graph: Graph, means: dict[str, Tensor], rounding: Rounding, on_layer: Callable[[str, int, int], None]
    ) -> None:
        super().__init__(graph.module)
        self.order = [str(node.target) for node in graph.products()]
        self.means, self.rounding, self.on_layer = means, rounding, on_layer

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        layer: Any = self.module.get_submodule(target)
        if target not in self.order or not _has_slot(layer):
            return super().call_module(target, args, kwargs)
        self.on_layer(target, self.order.index(target), len(self.order))
        if self.rounding == "gptq":
            slot = layer.parametrizations.weight
            slot.original.copy_(rounded_to_outputs(layer, slot.original, slot[0].quantizer, args[0]))
        y: Tensor = super().call_module(target, args, kwargs)
        if target not in self.means:
            return y
        error = (channel_means(y) - self.means[target]).to(y.dtype)
        if layer.bias is None:
            layer.bias = nn.Parameter(torch.zeros_like(error))
        layer.bias.sub_(error)
        return y - error.reshape([-1 if d == _channel_axis(y) else 1 for d in range(y.dim())])


def _has_slot(layer: Any) -> bool:
    return parametrize.is_parametrized(layer, "weight") and isinstance(layer.parametrizations.weight[0], WeightSlot)
