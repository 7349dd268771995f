"""What a training loop does for the quantizers of a network, whatever their methods: four calls."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from .quantizer import Quantizer
from .rule import Controller, Moment, Rule, mean_weight_bits
from .slots import WeightSlot


@final
class QuantizerTraining:
    """The quantizers of a module, each with the float weight that it stands on, if it is one of weights.

    In every step: `penalty` into the loss, backward, `before_step`, optimizer, `after_step`. Before the last epochs:
    `finish`.
    Make it once the quantizers are attached; modules that share them (a compiled one) need no other.
    """

    def __init__(self, module: nn.Module) -> None:
        weights = dict(_quantized_weights(module))
        self.pairs = [(m, weights.get(m)) for m in module.modules() if isinstance(m, Quantizer)]
        self._controlled: dict[Controller, list[tuple[Rule, Tensor | None]]] = {}
        for quantizer, weight in self.pairs:
            if (controller := quantizer.rule.controller()) is not None:
                self._controlled.setdefault(controller, []).append((quantizer.rule, weight))

    def penalty(self) -> Tensor | None:
        """The sum of what the methods add to the loss, a scalar; None where none does."""
        parts = [quantizer.rule.penalty(weight) for quantizer, weight in self.pairs]
        known = [part for part in parts if part is not None]
        return torch.stack(known).sum() if known else None

    def mean_bits(self) -> float | None:
        """Bits per weight now, on average over the weights whose bits change; None where none do."""
        return mean_weight_bits([(quantizer.rule, weight) for quantizer, weight in self.pairs]) or None

    @property
    def has_controllers(self) -> bool:
        """Whether `before_step` does anything."""
        return bool(self._controlled)

    @torch.no_grad()
    def before_step(self, moment: Moment) -> None:
        """Between backward and optimizer: every controller decides for its rules. Nothing once they are finished."""
        for controller, rules in self._controlled.items():
            controller(rules, moment)

    @torch.no_grad()
    def after_step(self) -> None:
        """After the optimizer: parameters back into their legal range, then rules and weights follow each other."""
        for quantizer, weight in self.pairs:
            quantizer.rule.after_step()
            if weight is not None:
                quantizer.rule.follow(weight)

    def finish(self) -> None:
        """From now on the forward pass uses exactly the levels that the file holds."""
        self._controlled = {}
        for quantizer, _ in self.pairs:
            quantizer.finish()


def _quantized_weights(module: nn.Module) -> Any:
    for part in module.modules():
        if isinstance(part, ParametrizationList) and isinstance(part[0], WeightSlot):
            yield part[0].quantizer, part.original
