"""What a training loop does for the quantizers of a network, whatever their methods: three calls."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from .quantizer import Quantizer
from .slots import WeightSlot


@final
class QuantizerTraining:
    """The quantizers of a module, each with the float weight that it stands on, if it is one of weights.

    In every step: `penalty` into the loss, backward, optimizer, `after_step`. Before the last epochs: `finish`.
    Make it once the quantizers are attached; modules that share them (a compiled one) need no other.
    """

    def __init__(self, module: nn.Module) -> None:
        weights = dict(_quantized_weights(module))
        self.pairs = [(m, weights.get(m)) for m in module.modules() if isinstance(m, Quantizer)]

    def penalty(self) -> Tensor | None:
        """The sum of what the methods add to the loss, a scalar; None where none does."""
        parts = [quantizer.rule.penalty(weight) for quantizer, weight in self.pairs]
        known = [part for part in parts if part is not None]
        return torch.stack(known).sum() if known else None

    @torch.no_grad()
    def after_step(self) -> None:
        """After the optimizer: parameters back into their legal range, then rules and weights follow each other."""
        for quantizer, weight in self.pairs:
            quantizer.rule.after_step()
            if weight is not None:
                quantizer.rule.follow(weight)

    def finish(self) -> None:
        """From now on the forward pass uses exactly the levels that the file holds."""
        for quantizer, _ in self.pairs:
            quantizer.finish()


def _quantized_weights(module: nn.Module) -> Any:
    for part in module.modules():
        if isinstance(part, ParametrizationList) and isinstance(part[0], WeightSlot):
            yield part[0].quantizer, part.original
