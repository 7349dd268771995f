"""Slots: where quantizers sit. A weight slot is a parametrization of a stock module; an activation slot is a node on an edge."""

from __future__ import annotations

from torch import Tensor, nn

from .quantizer import Quantizer


class WeightSlot(nn.Module):
    """Parametrization of a weight: the module's own tensor stays a float parameter, its use is quantized."""

    def __init__(self, quantizer: Quantizer, method: str) -> None:
        super().__init__()
        self.quantizer, self.method = quantizer, method

    def forward(self, weight: Tensor) -> Tensor:
        return self.quantizer(weight)


class ActivationSlot(nn.Module):
    """Node on an activation edge; while `calibrating` it fits its quantizer to what passes, then quantizes it."""

    def __init__(self, quantizer: Quantizer, method: str) -> None:
        super().__init__()
        self.quantizer, self.method, self.calibrating = quantizer, method, False

    def forward(self, x: Tensor) -> Tensor:
        if self.calibrating:
            self.quantizer.fit(x)
        return self.quantizer(x)
