"""Rules of weights that are powers of two: products become shifts."""

from __future__ import annotations

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..ops.basis import middles_by_logarithm
from .grids import Codebook, Grid, Parameters
from .rule import Rule

SMALLEST = 2.0**-40
FEWEST_BITS, MOST_BITS = 2, 4  # 8 exponents would pass the largest level that a weight may have


class PowersOfTwo(Rule):
    """The alphabet 0, ±2^e for the 2^(b-1) - 1 exponents up to floor(log2(4·max|w| / 3)), of the first weights.

    `is_discrete`: after every step of training each weight goes back into the alphabet: to one of its two neighbours,
    at random, so that the mean is where the optimizer put it. What the gradient is taken at is then what is updated.
    After `finish` weights go to the nearest element instead, and so come to rest. Otherwise float weights go on.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the weights.
        sample_axis: not used; the method is for weights.
        in_log: whether a magnitude goes to the power that is nearest by its logarithm, instead of by value.
        is_discrete: whether weights are elements of the alphabet in training, too.
    Raises: QuantizerError for a grid that is no codebook, or has more levels than whole numbers up to 127 give.
    Source: Long et al., "A Novel Low-Bit Quantization Strategy for Compressing Deep Neural Networks", 2020; the update
    that it calls for, an unbiased step along the alphabet, is worked out here.
    """

    def __init__(
        self, grid: Grid, grains: int, sample_axis: bool, in_log: bool = False, is_discrete: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(grid, Codebook) or not FEWEST_BITS <= grid.bits <= MOST_BITS:
            raise QuantizerError(f"powers of two have a codebook of {FEWEST_BITS} to {MOST_BITS} bits, got {grid}")
        self.in_log, self.is_discrete, self.is_resting, self.gradient_scale = in_log, is_discrete, False, 1.0
        self.exponents = 2 ** (grid.bits - 1) - 1
        self.unit: Tensor
        self.register_buffer("unit", torch.ones(grains))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """The largest power of two per grain, by the magnitudes of x."""
        largest = x.float().abs().reshape(len(self.unit), -1).amax(1).clamp_min(SMALLEST)
        # log2 may round to the next whole number; frexp is exact: 2^(exponent - 1) <= value < 2^exponent.
        exponent = torch.frexp(4 * largest / 3).exponent - 1
        self.unit.copy_(torch.ldexp(torch.ones_like(largest), exponent - (self.exponents - 1)))

    @torch.no_grad()
    def follow(self, weight: Tensor) -> None:
        if not self.is_discrete:
            return
        rows = weight.reshape(len(self.unit), -1)
        levels = self.final_parameters()["levels"].contiguous()
        inside = torch.clamp(rows, levels[:, :1], levels[:, -1:])
        above = torch.searchsorted(levels, inside.contiguous()).clamp_min(1)
        low, high = levels.gather(1, above - 1), levels.gather(1, above)
        share = (inside - low) / (high - low)
        # Drawn on the CPU, whose random state a checkpoint holds.
        limit = torch.full((), 0.5) if self.is_resting else torch.rand(share.shape)
        weight.copy_(torch.where(share > limit.to(share.device), high, low).reshape(weight.shape))

    def final_parameters(self) -> Parameters:
        """Levels (G, L), whole powers of two, and the unit (G, 1); the largest level fills the last code, too."""
        powers = 2.0 ** torch.arange(self.exponents, device=self.unit.device)
        whole = torch.cat([-powers.flip(0), torch.zeros(1, device=powers.device), powers, powers[-1:]])
        unit = self.unit[:, None]
        found = {"levels": whole * unit, "integer": whole.expand(len(unit), -1), "scale": unit}
        if self.in_log:
            found["thresholds"] = middles_by_logarithm(found["levels"][:, :-1], found["levels"][:, 1:])
        return found

    def finish(self) -> None:
        self.is_resting = True
