"""The rule of binarized networks: nothing to find, every level is -1 or +1; weights live in a box."""

from __future__ import annotations

import torch
from torch import Tensor

from .grids import Grid, Parameters
from .rule import Rule


class UnitStep(Rule):
    """A step of 1 that nothing changes. After every step of training, float weights go back to -1..1.

    Without the box weights drift away from where a gradient can still turn their sign.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the values.
        sample_axis: not used.
    Source: Courbariaux et al., "Binarized Neural Networks", arXiv 1602.02830, algorithm 1.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        self.gradient_scale = 1.0
        self.step: Tensor
        self.register_buffer("step", torch.ones(grains))

    def fit(self, x: Tensor) -> None:
        """Nothing to find."""

    def follow(self, weight: Tensor) -> None:
        weight.clamp_(-1, 1)

    def final_parameters(self) -> Parameters:
        """Steps of 1."""
        return {"step": self.step}
