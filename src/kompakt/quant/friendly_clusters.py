"""The rule of training for weight sharing: weights are pulled to their optimal cluster centres, then become them."""

from __future__ import annotations

import torch
from torch import Tensor

from .grids import Grid, Parameters
from .optimal_clusters import OptimalClusters
from .rule import Rule

STRENGTH = 1.0
EVERY = 100  # training steps between two clusterings
SMALLEST_NORM = 1e-12


class FriendlyClusters(Rule):
    """Float weights whose loss gets STRENGTH · D / |w|², D = the squared error of the optimal clustering.

    Assignments and centres are optimal, so the gradient of D is 2 (w - centre). Clusters are found anew every EVERY
    steps. After `finish` weights are used as their centres, with a straight-through gradient; pull and clustering go
    on, so that a centre moves by the mean gradient of its weights.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the weights.
        sample_axis: not used; the method is for weights.
    Source: Yang et al., "DP-Net", arXiv 2003.09615. Differs: strength and interval are ours.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        self.clusters = OptimalClusters(grid, grains, sample_axis)
        self.grid, self.gradient_scale, self.snapped = grid, 1.0, False
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def fit(self, x: Tensor) -> None:
        """The optimal clusters of x."""
        self.clusters.fit(x)

    def penalty(self, weight: Tensor | None) -> Tensor:
        assert weight is not None, "the method is for weights"
        centres = self.grid.value(weight.detach().float(), self.final_parameters())
        norm = weight.detach().float().square().sum().clamp_min(SMALLEST_NORM)
        return STRENGTH * (weight.float() - centres).square().sum() / norm

    def follow(self, weight: Tensor) -> None:
        self.steps.add_(1)
        if int(self.steps) % EVERY == 0:
            self.clusters.fit(weight)

    def parameters_of_grid(self) -> Parameters:
        """No levels until the end: weights stay as they are."""
        return self.final_parameters() if self.snapped else {}

    def final_parameters(self) -> Parameters:
        """Whole levels (G, L) times one scale per grain (G, 1)."""
        return self.clusters.final_parameters()

    def snap_error(self) -> float:
        """Largest distance between a centre and its whole level, as a share of the range of levels."""
        return self.clusters.snap_error()

    def finish(self) -> None:
        self.snapped = True
