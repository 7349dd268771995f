"""The rule of weight sharing: levels are the optimal cluster centres of the weights."""

from __future__ import annotations

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..ops.basis import to_16_bits
from ..ops.clustering import optimal_clusters
from ..ops.grains import rows_of
from .grids import Codebook, Grid, Parameters
from .rule import Rule

LARGEST = 127


class OptimalClusters(Rule):
    """The 2^bits centres of least squared error per grain, found exactly and then fixed.

    The centres are snapped to whole levels at once, so that calibration and corrections see what the file holds.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the values.
        sample_axis: not used; the method is for weights.
    Source: Yang et al., "DP-Net", arXiv 2003.09615. Differs: one codebook per grain.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Codebook):
            raise QuantizerError(f"cluster centres have a codebook grid, got {grid}")
        self.grid, self.gradient_scale = grid, 1.0
        self.centres: Tensor
        self.register_buffer("centres", torch.linspace(-1, 1, 2**grid.bits).repeat(grains, 1))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """The centres of every grain; where a grain has fewer distinct values than codes, the last one is repeated."""
        size = self.centres.shape[1]
        for grain, row in enumerate(rows_of(x, len(self.centres))):
            found = torch.from_numpy(optimal_clusters(row.cpu().numpy(), size)).float()
            self.centres[grain] = torch.cat([found, found[-1:].expand(size - len(found))])

    def final_parameters(self) -> Parameters:
        """Whole levels (G, L) times one scale per grain (G, 1)."""
        top = self.centres.abs().amax(1, keepdim=True) / LARGEST
        scale = to_16_bits(top.clamp_min(torch.finfo(torch.float32).tiny * 2**24))
        integer = torch.round(self.centres / scale).clamp(-LARGEST, LARGEST)
        return {"levels": integer * scale, "integer": integer, "scale": scale}

    def rescale(self, factor: Tensor) -> None:
        self.centres.mul_(factor[:, None])

    @torch.no_grad()
    def snap_error(self) -> float:
        """Largest distance between a centre and its whole level, as a share of the range of levels."""
        distance = (self.final_parameters()["levels"] - self.centres).abs().amax(1)
        span = (self.centres.amax(1) - self.centres.amin(1)).clamp_min(1e-30)
        return float((distance / span).max())
