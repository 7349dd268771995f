"""The rule of LSQ+: a step size and an offset, trained by gradient descent."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..ops.sampling import thinned
from ..ops.surrogate import scale_gradient, ste_round
from ..ops.windows import best_window
from .grids import Grid, Offset, Parameters
from .rule import Rule

SMALLEST_STEP = 1e-6
FIT_VALUES = 20_000  # the search tries some hundred windows


class LearnedOffset(Rule):
    """One step and one offset β for values that lie unevenly around zero (Swish, leaky ReLU).

    Until `finish`, β is any number. From then on it is rounded to whole steps, with a straight-through gradient: zero
    is then a level of the grid, so that zero padding is exact and no bias has to make up for an offset.

    Start: least squared error on the first data. Gradient scale: as LSQ, for both. Steps stay above a floor, and β
    where zero is within the range.

    Args:
        grid: where the levels lie.
        grains: 1; activations have one grain.
        sample_axis: whether axis 0 of the values counts samples.
    Raises: QuantizerError for a grid without an offset.
    Source: Bhalgat et al., "LSQ+", CVPR Workshops 2020. Differs: the offset is a whole number of steps in the end.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Offset):
            raise QuantizerError(f"a learned offset has an offset grid, got {grid}")
        self.grid, self.sample_axis, self.snapped = grid, sample_axis, False
        self.step, self.offset = nn.Parameter(torch.ones(grains)), nn.Parameter(torch.zeros(grains))
        self.gradient_scale = 1.0
        self.balance: Tensor
        self.register_buffer("balance", torch.ones((), dtype=torch.float64))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """The window of least squared error on x."""
        lo, hi = self.grid.limits
        low, step = best_window(thinned(x.detach().float(), FIT_VALUES), 2**self.grid.bits - 1)
        self.step.fill_(max(step, SMALLEST_STEP))
        self.offset.fill_(low - lo * float(self.step))
        self.after_step()
        count = x[0].numel() if self.sample_axis else x.numel()
        self.balance.fill_(1.0 / math.sqrt(count * max(hi, 1)))

    def parameters_of_grid(self) -> Parameters:
        # Scaled here, not by the surrogate: the offset in steps depends on both.
        step = scale_gradient(self.step, self.balance)
        zero = scale_gradient(self.offset, self.balance) / step
        return {"step": step, "zero": self._whole(zero) if self.snapped else zero}

    def _whole(self, zero: Tensor) -> Tensor:
        lowest, highest = self.grid.zeros
        return ste_round(zero).clamp(lowest, highest)

    @torch.no_grad()
    def final_parameters(self) -> Parameters:
        """The step, and the offset as a whole number of steps."""
        return {"step": self.step.detach(), "zero": self._whole(self.offset / self.step)}

    @torch.no_grad()
    def snap_error(self) -> float:
        """Distance of the offset from whole steps, as a share of the range."""
        zero = self.offset / self.step
        return float((self._whole(zero) - zero).abs().max() / (2**self.grid.bits - 1))

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the step above a floor, and zero among the levels."""
        self.step.clamp_(min=SMALLEST_STEP)
        lowest, highest = self.grid.zeros
        self.offset.copy_(torch.minimum(torch.maximum(self.offset, lowest * self.step), highest * self.step))

    def finish(self) -> None:
        self.snapped = True
