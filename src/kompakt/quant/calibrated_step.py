"""Rules without training: one step per grain, found from data by a criterion."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..ops.grains import rows_of
from ..ops.sampling import thinned
from .grids import Grid, Parameters, Uniform
from .rule import Rule

FIT_VALUES = 400_000  # the criteria are flat around their best; a whole calibration batch has millions

Criterion = Callable[[Tensor, int, int], Tensor]
"""Rows (G, N), lowest level, highest level to steps (G,), see `kompakt.ops.steps`."""


class CalibratedStep(Rule):
    """One step per grain, the best by its criterion: of the calibration data, or of the weight as training moves it.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the values.
        sample_axis: whether the values are activations (axis 0 counts samples).
        criterion: what makes a step the best.
    Raises: QuantizerError for a grid that has no step.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool, criterion: Criterion) -> None:
        super().__init__()
        if not isinstance(grid, Uniform):
            raise QuantizerError(f"a calibrated step has a uniform grid, got {grid}")
        self.grid, self.sample_axis, self.criterion = grid, sample_axis, criterion
        self.gradient_scale = 1.0
        self.step: Tensor
        self.register_buffer("step", torch.ones(grains))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """The best step of every grain for x."""
        rows = rows_of(thinned(x, FIT_VALUES) if self.sample_axis else x, len(self.step))
        self.step.copy_(self.criterion(rows, *self.grid.limits))

    @torch.no_grad()
    def follow(self, weight: Tensor) -> None:
        """The best steps for the weight as it is now."""
        self.step.copy_(self.criterion(rows_of(weight, len(self.step)), *self.grid.limits))

    def final_parameters(self) -> Parameters:
        """The steps as they are."""
        return {"step": self.step}

    def rescale(self, factor: Tensor) -> None:
        self.step.mul_(factor)
