"""What a rule is: it finds the parameters of a grid, and keeps them up to date while the network trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from .grids import Parameters


@dataclass(frozen=True)
class Moment:
    """A training step between backward and optimizer: gradients are there, parameters are those that gave the loss.

    Attributes:
        loss: of the batch, a scalar without gradient and without penalties.
        again: the loss of the same batch with parameters and buffers as they are when it is called: batch-norm with the
            batch's statistics, the same random numbers, no trace left in any buffer.
        penalty: the factor of what methods charge, `train.penalty`.
        ends_epoch: whether this is the last step of an epoch.
    """

    loss: Tensor
    again: Callable[[], Tensor]
    penalty: float = 1.0
    ends_epoch: bool = False


class Rule(nn.Module, ABC):
    """Parameters of a grid, one set per grain. Learned ones are `nn.Parameter`, computed ones are buffers.

    The order within a training step: forward with `parameters_of_grid`, `observe`; loss plus `penalty`; backward,
    the `controller`, optimizer, `after_step`, `follow`.
    """

    gradient_scale: float
    """Factor of the gradient of learned parameters."""

    @abstractmethod
    def fit(self, x: Tensor) -> None:
        """Set the parameters from finite data `x` (weights, or a calibration batch)."""

    @abstractmethod
    def final_parameters(self) -> Parameters:
        """What the file holds: every level is a whole number times its grain's scale."""

    def parameters_of_grid(self) -> Parameters:
        """What the forward pass uses now. A rule that says nothing else: what the file holds."""
        return self.final_parameters()

    @property
    def bits_now(self) -> float | None:
        """The bit-width now, of a rule that changes it; None of one that does not."""
        return None

    def snap_error(self) -> float:
        """Largest distance between a level and its form in the file, as a share of the range of levels.

        0 from a rule whose levels are whole multiples of its scale at all times.
        """
        return 0.0

    def observe(self, x: Tensor) -> None:
        """Learn from the values of a training step, after they were quantized. A rule that does not: nothing."""
        return

    def penalty(self, weight: Tensor | None) -> Tensor | None:
        """What the loss gets from this rule, a scalar with gradients.

        Args:
            weight: the float weight that is quantized; None for activations.
        Returns: None from a rule without a penalty.
        """
        return None

    def controller(self) -> Controller | None:
        """What decides, in every step, for all rules together that name the same function. None: nothing is decided.

        It is called until `finish`. Its state lies in buffers of the rules, so that a training run can be resumed.
        """
        return None

    def after_step(self) -> None:
        """Bring learned parameters back into their legal range, after the optimizer's step. Without any: nothing."""
        return

    def follow(self, weight: Tensor) -> None:
        """After the optimizer's step: adapt to the float weight that is quantized, or move it in place.

        Not for activations. A rule that looks at no weight: nothing.
        """
        return

    def rescale(self, factor: Tensor) -> None:
        """Multiply the levels of every grain by its factor > 0, (G,). Raises: QuantizerError if a rule cannot."""
        raise QuantizerError(f"levels found by {type(self).__name__} are not rescaled without training")

    def finish(self) -> None:
        """From now on `parameters_of_grid` is `final_parameters`. Where it always is: nothing."""
        return


class FittedScale(Rule):
    """A rule whose gradient scale comes from the data of its start; a module's state keeps it, like its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.gradient_scale = 1.0

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.gradient_scale, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        self.gradient_scale = float(state)


Controlled = Sequence[tuple[Rule, Tensor | None]]
"""Rules, each with the float weight that is quantized; None for activations."""


def mean_weight_bits(rules: Controlled) -> float:
    """Bits per weight now, on average over the rules that change them; 0 without any."""
    sizes = [(rule.bits_now, weight.numel()) for rule, weight in rules
             if weight is not None and rule.bits_now is not None]  # fmt: skip
    return sum(bits * count for bits, count in sizes) / max(1, sum(count for _, count in sizes))


Controller = Callable[[Controlled, Moment], None]
