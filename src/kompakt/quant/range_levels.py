"""Rules that look at nothing but the range of the weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..ops.basis import to_16_bits
from ..ops.grains import rows_of
from .grids import Codebook, Grid, Parameters
from .rule import Rule

Scheme = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Rows (G, N), bits to whole ascending levels (G, 2^bits) and scales (G, 1) of 16 bits, see `ops.data_free`."""


class RangeLevels(Rule):
    """Levels by a scheme, one set per grain, found from the weights and then fixed.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the values.
        sample_axis: not used; the method is for weights.
        scheme: gives the levels.
    Raises: QuantizerError for another grid than a codebook.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool, scheme: Scheme) -> None:
        super().__init__()
        if not isinstance(grid, Codebook):
            raise QuantizerError(f"levels of a range have a codebook grid, got {grid}")
        self.grid, self.scheme, self.gradient_scale = grid, scheme, 1.0
        self.integer: Tensor
        self.scale: Tensor
        self.register_buffer("integer", torch.arange(0.0, 2**grid.bits).repeat(grains, 1))
        self.register_buffer("scale", torch.ones(grains, 1))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """The levels of every grain."""
        integer, scale = self.scheme(rows_of(x, len(self.scale)), self.grid.bits)
        self.integer.copy_(integer)
        self.scale.copy_(scale)

    def rescale(self, factor: Tensor) -> None:
        self.scale.copy_(to_16_bits(self.scale * factor[:, None]))

    def final_parameters(self) -> Parameters:
        """Whole levels (G, L) times one scale per grain (G, 1)."""
        return {"levels": self.integer * self.scale, "integer": self.integer, "scale": self.scale}
