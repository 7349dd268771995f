"""The rule of two low-bit tensors: both scales found together."""

from __future__ import annotations

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..ops.basis import to_16_bits
from ..ops.dual import dual_basis, joint_search
from ..ops.grains import rows_of
from .grids import Basis, Grid, Parameters
from .rule import Rule


class JointSteps(Rule):
    """Two codes of half the bits per value, with scales a·step and b·step per grain, found together and then fixed.

    Args:
        grid: where the levels lie: a basis with digits 0/1 and an even number of bits.
        grains: 1, or the size of axis 0 of the values.
        sample_axis: not used; the method is for weights.
    Raises: QuantizerError for another grid.
    Source: see `kompakt.ops.dual.joint_search`.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Basis) or grid.digits != "01" or grid.bits % 2:
            raise QuantizerError(
                f"two tensors have a basis grid with digits 0/1 and an even number of bits, got {grid}"
            )
        self.grid, self.gradient_scale = grid, 1.0
        self.pair: Tensor
        self.step: Tensor
        self.register_buffer("pair", torch.ones(grains, 2, dtype=torch.int64))
        self.register_buffer("step", torch.ones(grains))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Both scales of every grain."""
        pair, step = joint_search(rows_of(x, len(self.step)), self.grid.bits // 2)
        self.pair.copy_(pair)
        self.step.copy_(step)

    def final_parameters(self) -> Parameters:
        """Whole numbers (G, bits) times one scale per grain (G, 1)."""
        integer, scale = dual_basis(self.pair, self.grid.bits // 2).float(), to_16_bits(self.step)[:, None]
        return {"basis": integer * scale, "integer": integer, "scale": scale}

    def rescale(self, factor: Tensor) -> None:
        self.step.mul_(factor)
