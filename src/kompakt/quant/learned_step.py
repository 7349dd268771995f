"""The rule of LSQ: step sizes, trained by gradient descent."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..ops.grains import rows_of
from ..ops.sampling import thinned
from ..ops.steps import searched_step
from ..ops.surrogate import pace_by_size, scale_gradient
from .grids import Grid, Parameters, Uniform
from .rule import FittedScale

SMALLEST_STEP = 1e-6
FIT_VALUES = 200_000  # values that the start is fitted to; a whole calibration batch has millions


class LearnedStep(FittedScale):
    """One step size per grain, trained by gradient descent.

    Start: least squared error on the first data (the published start, 2·mean|x|/sqrt(Q_P), is far too small on sparse
    tensors after ReLU). Gradient scale: 1 / sqrt(N · Q_P), N = values per grain and sample. Steps stay above a floor
    after every optimizer step. Of several steps, small ones get a gradient that is smaller by (step / their root mean
    square)²: in front of a batch-norm a nearly dead channel has large gradients, which throw its step out of range.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the values.
        sample_axis: whether axis 0 of the values counts samples, which N leaves out.
    Raises: QuantizerError for a grid that has no step.
    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, section 2.2. Differs: the start, several
    steps.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Uniform):
            raise QuantizerError(f"a learned step has a uniform grid, got {grid}")
        self.grid, self.sample_axis = grid, sample_axis
        self.step = nn.Parameter(torch.ones(grains))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Least squared error on x. The parameter object stays: an optimizer may hold it already."""
        lo, hi = self.grid.limits
        self.step.copy_(searched_step(self._rows(x), lo, hi))
        count = x[0].numel() if self.sample_axis else x.numel() // len(self.step)
        self.gradient_scale = 1.0 / math.sqrt(count * max(hi, 1))

    def _rows(self, x: Tensor) -> Tensor:
        return rows_of(thinned(x, FIT_VALUES) if len(self.step) == 1 else x, len(self.step))

    def parameters_of_grid(self) -> Parameters:
        several = len(self.step) > 1
        return {"step": scale_gradient(self.step, pace_by_size(self.step.detach())) if several else self.step}

    def final_parameters(self) -> Parameters:
        """The step as it is."""
        return {"step": self.step.detach()}

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the step above a floor: a step that crosses zero never comes back."""
        self.step.clamp_(min=SMALLEST_STEP)
