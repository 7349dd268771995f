"""The rule of SAWB: the clip of a weight quantizer from two moments of the weights, without a search."""

from __future__ import annotations

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..ops.grains import rows_of
from .grids import Grid, MidRise, Parameters, Uniform
from .rule import Rule

SMALLEST_STEP = 1e-8
COEFFICIENTS = {
    2: (0.0, 1.0), 3: (2.6, -1.71), 4: (3.12, -2.064), 8: (7.509, -6.892), 15: (12.035, -12.03), 16: (12.68, -12.80),
    32: (17.74, -18.64), 127: (28.24, -30.81), 255: (31.76, -35.04),
}  # fmt: skip
"""Number of levels to (c1, c2). Two levels: the mean magnitude, which is the exact optimum."""


class MomentClip(Rule):
    """One clip per grain, α = c1·sqrt(E[w²]) + c2·E|w|, of the weights as they are: also after every step of training.

    c1 and c2 come from a regression over common distributions. Weights that cluster, as near ±a, lie outside of it, and
    the formula then gives next to nothing: an α below E|w| is replaced by that of least squared error.

    Args:
        grid: where the levels lie; decides c1 and c2 by its number of levels.
        grains: 1, or the size of axis 0 of the weights.
        sample_axis: not used; the method is for weights.
    Raises: QuantizerError for a grid without a step, or whose number of levels has no coefficients.
    Source: Choi et al., "Accurate and Efficient 2-bit Quantized Neural Networks", MLSys 2019; coefficients of the
    authors' released code. Differs: the replacement below E|w| (there: the largest magnitude, below 0).
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Uniform | MidRise) or grid.count not in COEFFICIENTS:
            raise QuantizerError(f"a clip from moments has {', '.join(map(str, COEFFICIENTS))} even levels, got {grid}")
        self.grid, self.gradient_scale = grid, 1.0
        self.step: Tensor
        self.register_buffer("step", torch.ones(grains))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """The clip of every grain for the weights x."""
        rows = rows_of(x, len(self.step))
        first, second = COEFFICIENTS[self.grid.count]
        mean = rows.abs().mean(1)
        clip = first * rows.square().mean(1).sqrt() + second * mean
        unfit = clip < mean
        if unfit.any():
            clip[unfit] = searched_clip(rows[unfit], self.grid)
        self.step.copy_((clip / self.grid.limits[1]).clamp_min(SMALLEST_STEP))

    def follow(self, weight: Tensor) -> None:
        self.fit(weight)

    def final_parameters(self) -> Parameters:
        """The steps as they are."""
        return {"step": self.step}


def searched_clip(rows: Tensor, grid: Uniform | MidRise) -> Tensor:
    """The clip of least squared error among 100 fractions of the largest magnitude, refined once; (G, N) to (G,)."""
    best = rows.abs().amax(1)
    for fractions in (torch.linspace(0.02, 1.5, 100), torch.linspace(0.985, 1.015, 31)):
        clips = best[:, None] * fractions.to(best.device)
        steps = (clips / grid.limits[1]).clamp_min(SMALLEST_STEP)
        errors = [(grid.value(rows, {"step": step}) - rows).square().mean(1) for step in steps.unbind(1)]
        best = clips.gather(1, torch.stack(errors, 1).argmin(1, keepdim=True))[:, 0]
    return best
