"""AdaMax whose factors are powers of two, so that an update is a shift."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from .._core.errors import TrainingError
from ..ops.powers import nearest_power

SMALLEST = 2.0**-27  # of a gradient's magnitude


class ShiftAdaMax(torch.optim.Optimizer):
    """m = β₁ m + (1 - β₁) g;  v = max(β₂ v, |g|);  θ -= AP2(lr / (1 - β₁^t)) · m / AP2(v).

    AP2 is the nearest power of two.

    Args:
        lr: of steps; published with 2^-10.
        betas: β₁ and β₂; the published ones are 1 - 2^-3 and 1 - 2^-10.
        weight_decay: factor of the weight that is added to its gradient.
    Raises: TrainingError for a rate or betas out of range.
    Source: Courbariaux et al., "Binarized Neural Networks", arXiv 1602.02830, shift-based AdaMax. Differs: v stays
    above 2^-27.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 2.0**-10, betas: tuple[float, float] = (1 - 2.0**-3, 1 - 2.0**-10),
        weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        if not lr > 0 or not all(0 <= beta < 1 for beta in betas):
            raise TrainingError(f"lr must be more than 0 and betas in 0..1, got {lr} and {betas}")
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * parameter
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["largest"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        first, second = group["betas"]
        state["step"] += 1
        mean, largest = state["mean"], state["largest"]
        mean.lerp_(gradient, 1 - first)
        torch.maximum(largest.mul_(second), gradient.abs(), out=largest)
        rate = nearest_power(torch.as_tensor(group["lr"] / (1 - first ** float(state["step"]))))
        parameter.sub_(rate * mean / nearest_power(largest.clamp_min(SMALLEST)))
