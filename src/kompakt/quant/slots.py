"""Slots: where quantizers sit. A weight slot is a parametrization of a stock module; an activation slot is a node."""

from __future__ import annotations

from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..graph import Slot
from .quantizer import Quantizer


class WeightSlot(nn.Module):
    """Parametrization of a weight: the module's own tensor stays a float parameter, its use is quantized."""

    def __init__(self, quantizer: Quantizer, method: str) -> None:
        super().__init__()
        self.quantizer, self.method = quantizer, method

    def forward(self, weight: Tensor) -> Tensor:
        y: Tensor = self.quantizer(weight)
        return y


class ActivationSlot(Slot):
    """Node on an activation edge: it quantizes what passes.

    Args:
        label: names the edge in errors.

    Attributes:
        is_dead: whether all values that it was fitted to were zero.
    """

    def __init__(self, quantizer: Quantizer, method: str, label: str) -> None:
        super().__init__()
        self.quantizer, self.method, self.label, self.calibrating = quantizer, method, label, False
        self.is_dead = False

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.quantizer(x)
        return y

    def fit(self, x: Tensor) -> None:
        """Fit the quantizer. Raises: QuantizerError naming the edge."""
        try:
            self.quantizer.fit(x)
        except QuantizerError as error:
            raise QuantizerError(f"{self.label}: {error}") from None
        self.is_dead = not x.any()
