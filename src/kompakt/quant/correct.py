"""After calibration, without training: better rounding of weights, scales and biases that undo the error.

One pass through the quantized network: every layer is corrected for the inputs that the corrected layers before it
really produce, and its result goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from .._core.errors import QuantizerError
from ..graph import Graph, Parts, RunInParts
from .adaround import learned_rounding
from .gptq import rounded_to_outputs
from .rows import ROWS, output_rows
from .slots import WeightSlot

Rounding = Literal["nearest", "gptq", "adaround"]
OnLayer = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Corrections:
    """What to correct.

    Attributes:
        rounding: "gptq" and "adaround" round each weight so that the layer's outputs stay near, "nearest" leaves the
            weights.
        scale: whether every output channel's levels are multiplied by the factor that fits its outputs to the float
            ones in the sense of least squares, cov(y, ŷ) / var(ŷ).
        bias: whether every output channel's mean over the batch becomes that of the float network.
    """

    rounding: Rounding = "nearest"
    scale: bool = False
    bias: bool = False

    @property
    def is_any(self) -> bool:
        """Whether there is anything to do."""
        return self != Corrections()


def correct(
    graph: Graph, original: Graph, batch: Tensor, what: Corrections,
    on_layer: OnLayer = lambda name, done, of: None,
) -> None:  # fmt: skip
    """Correct the weights and biases of `graph` in place.

    Args:
        graph: calibrated, with the layers of `original` under the same names.
        original: the float network.
        batch: calibration images (N, ...).
        on_layer: told name, finished and all work; its unit is a layer, or a product of the rounding's matrices.
    Raises: QuantizerError naming a layer whose levels have one scale for all channels, where scales are corrected.
    Source of the bias correction: Nagel et al., ICCV 2019, section 4.2, on data instead of batch-norm statistics; of
    both, Choukroun et al., ICCVW 2019.
    """
    graph.module.eval()
    original.module.eval()
    targets = _Targets(original, what)
    targets.of(batch)
    _Corrector(graph, targets, what, on_layer).of(batch)


def channel_means(y: Parts) -> Tensor:
    """Mean of every channel of (N, C), (N, T, C) or (N, C, H, W), float64 (C,)."""
    sums = [
        len(part) * part.double().mean([d for d in range(part.dim()) if d != channel_axis(part)]) for part in y.values
    ]
    return torch.stack(sums).sum(0) / sum(map(len, y.values))


def fitting_scale(y: Tensor, expected: Tensor) -> Tensor:
    """Per channel of (positions, C) the factor of y that fits `expected` best, up to a constant; 1 for constant y."""
    y, expected = y.double() - y.double().mean(0), expected.double() - expected.double().mean(0)
    power, product = y.square().sum(0), (y * expected).sum(0)
    return torch.where((power > 0) & (product > 0), product / power.clamp_min(1e-30), torch.ones_like(power))


def channel_axis(y: Tensor) -> int:
    """The axis of channels of (N, C), (N, T, C) or (N, C, H, W)."""
    return 2 if y.dim() == 3 else 1


class _Targets(RunInParts):
    """Runs a network and keeps its layers' outputs, as channel means and, where they are needed, at some positions."""

    def __init__(self, graph: Graph, what: Corrections) -> None:
        super().__init__(graph)
        self.layers = {str(node.target) for node in graph.products()}
        self.needs_means, self.needs_rows = what.bias, what.scale or what.rounding != "nearest"
        self.means: dict[str, Tensor] = {}
        self.rows: dict[str, Tensor] = {}

    def value(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        y = super().value(node, args, kwargs)
        if node.target in self.layers and self.needs_means:
            self.means[str(node.target)] = channel_means(y)
        if node.target in self.layers and self.needs_rows:
            self.rows[str(node.target)] = output_rows(y, ROWS)
        return y


class _Corrector(RunInParts):
    """Runs a quantized network, and corrects each layer before its result goes on."""

    def __init__(self, graph: Graph, targets: _Targets, what: Corrections, on_layer: OnLayer) -> None:
        super().__init__(graph)
        self.targets, self.what, self.on_layer = targets, what, on_layer
        self.work = {str(node.target): self._work(graph.submodule(node)) for node in graph.products()}
        self.done = 0

    def _work(self, layer: Any) -> int:
        """Of correcting a layer: the product of its weights and the matrix of its inputs, if it is rounded anew."""
        weight = layer.weight
        return 1 if self.what.rounding == "nearest" else weight.numel() * weight[0].numel()

    def value(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        target = str(node.target)
        layer: Any = self.module.get_submodule(target) if target in self.work else None
        if layer is None or not has_slot(layer):
            return super().value(node, args, kwargs)
        self.on_layer(target, self.done, sum(self.work.values()))
        self.done += self.work[target]
        self._round(layer, target, args[0])
        y: Parts = super().value(node, args, kwargs)
        if self.what.scale:
            self._rescale(layer, target, y)
            y = super().value(node, args, kwargs)
        if not self.what.bias:
            return y
        first = y.values[0]
        error = (channel_means(y) - self.targets.means[target]).to(first.dtype)
        if layer.bias is None:
            layer.bias = nn.Parameter(torch.zeros_like(error))
        layer.bias.sub_(error)
        error = error.reshape([-1 if d == channel_axis(first) else 1 for d in range(first.dim())])
        return Parts(tuple(part - error for part in y.values))

    def _round(self, layer: Any, target: str, x: Parts) -> None:
        slot = layer.parametrizations.weight
        if self.what.rounding == "nearest":
            return
        wanted = self.targets.rows[target]
        if self.what.rounding == "gptq":
            slot.original.copy_(rounded_to_outputs(layer, slot.original, slot[0].quantizer, x, wanted, self.what.bias))
        elif self.what.rounding == "adaround":
            slot.original.copy_(learned_rounding(layer, slot.original, slot[0].quantizer, x, wanted))

    def _rescale(self, layer: Any, target: str, y: Parts) -> None:
        """Give the layer's levels the scale that fits, and its weights with them: the codes stay."""
        slot = layer.parametrizations.weight
        if slot[0].quantizer.grains != len(slot.original):
            raise QuantizerError(
                f"{target}.weight: scale_correction needs one scale per output channel, method {slot[0].method!r} has "
                "one for all; use another method such as 'mmse', also as edge_method"
            )
        factor = fitting_scale(output_rows(y, ROWS), self.targets.rows[target]).float()
        slot[0].quantizer.rule.rescale(factor)
        slot.original.mul_(factor.reshape(-1, *[1] * (slot.original.dim() - 1)))


def has_slot(layer: Any) -> bool:
    """Whether the layer's weight has a quantizer."""
    return parametrize.is_parametrized(layer, "weight") and isinstance(layer.parametrizations.weight[0], WeightSlot)
