"""The rule of PACT: the clipping level of a ReLU, trained by gradient descent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..ops.sampling import thinned
from ..ops.steps import searched_step
from .grids import Grid, Parameters, Uniform
from .rule import Rule

SMALLEST_CLIP = 1e-6
FIT_VALUES = 200_000
DECAY = 1e-4  # the task alone never lowers a clip that nothing reaches


class LearnedClip(Rule):
    """One clip α per tensor; the step is α / (2^b - 1). The loss gets DECAY / 2 · α².

    Start: least squared error on the first data. Clips stay above a floor.

    Args:
        grid: where the levels lie.
        grains: 1; activations have one grain.
        sample_axis: not used.
    Raises: QuantizerError for a grid that has no step, or has negative levels.
    Source: Choi et al., "PACT", arXiv 1805.06085. Differs: the start.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Uniform) or grid.signed:
            raise QuantizerError(f"a learned clip has an unsigned uniform grid, got {grid}")
        self.grid, self.gradient_scale = grid, 1.0
        self.clip = nn.Parameter(torch.ones(grains))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Least squared error on x."""
        lo, hi = self.grid.limits
        self.clip.copy_(searched_step(thinned(x.detach().float(), FIT_VALUES).reshape(1, -1), lo, hi) * hi)
        self.after_step()

    def parameters_of_grid(self) -> Parameters:
        return {"step": self.clip / self.grid.limits[1]}

    def final_parameters(self) -> Parameters:
        """The step as it is."""
        return {"step": self.parameters_of_grid()["step"].detach()}

    def penalty(self, weight: Tensor | None) -> Tensor:
        return DECAY / 2 * self.clip.square().sum()

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the clip above a floor."""
        self.clip.clamp_(min=SMALLEST_CLIP)
