"""The rule of scalable files: cells of one more bit lie inside the cells of one bit less."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..ops.basis import to_16_bits
from ..ops.grains import rows_of
from ..ops.nested import LARGEST, nested_firsts, nested_levels
from .grids import Codebook, Grid, Parameters
from .rule import Rule

FEWEST_SPREADS = 4.0  # standard deviations that the whole numbers reach at least


class NestedClusters(Rule):
    """One tree of cells per tensor and one scale per grain, found from the weights and then fixed.

    A grain's scale brings its weights to whole numbers up to 127, and those of a narrow distribution to fewer, so that
    all grains have about one distribution; the tree is that of the whole numbers of all grains together.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the values.
        sample_axis: not used; the method is for weights.
    Raises: QuantizerError for another grid.
    Source: see `kompakt.ops.nested`.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Codebook):
            raise QuantizerError(f"nested clusters have a codebook grid, got {grid}")
        self.grid, self.gradient_scale = grid, 1.0
        self.scale: Tensor
        self.firsts: Tensor
        self.integer: Tensor
        self.register_buffer("scale", torch.ones(grains))
        self.register_buffer("firsts", torch.arange(1.0, 2**grid.bits))
        self.register_buffer("integer", torch.arange(0.0, 2**grid.bits))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Scales of the grains, then the tree."""
        rows = rows_of(x, len(self.scale))
        reach = torch.maximum(rows.abs().amax(1), FEWEST_SPREADS * rows.square().mean(1).sqrt())
        self.scale.copy_(to_16_bits((reach / LARGEST).clamp_min(torch.finfo(torch.float32).tiny * 2**24)))
        whole = torch.ceil(rows / self.scale[:, None] - 0.5).clamp(
            -LARGEST, LARGEST
        )  # ties go down, as in all codebooks
        values, counts = np.unique(whole.cpu().numpy().astype(np.int64), return_counts=True)
        self.firsts.copy_(torch.from_numpy(nested_firsts(values, counts, self.grid.bits)))
        self.integer.copy_(torch.from_numpy(nested_levels(values, counts, self.grid.bits)))

    def rescale(self, factor: Tensor) -> None:
        self.scale.copy_(to_16_bits(self.scale * factor))

    def final_parameters(self) -> Parameters:
        """Whole levels (1, L) times one scale per grain (G, 1); thresholds (G, L - 1) are the edges of the cells.

        They are not the middles between levels: so the code of one bit less is the code without its last bit.
        """
        scale = self.scale[:, None]
        thresholds = (self.firsts - 0.5) * scale
        return {"levels": self.integer * scale, "thresholds": thresholds, "integer": self.integer[None], "scale": scale}
