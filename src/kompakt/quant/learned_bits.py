"""BitPruning: bit-widths that are trained by gradient descent, between two whole ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..encoding import Affine, Encoding
from ..ops import basis as basis_ops
from ..ops import uniform
from ..ops.grains import per_grain
from ..ops.surrogate import scale_gradient, with_gradient_of
from .grids import Grid, Parameters
from .rule import Rule

SMALLEST_RANGE = 1e-6
STRENGTH = 1e-3  # of one bit in the loss; `train.penalty` multiplies it
PACE = 10.0  # bits are learned as bits / PACE: an optimizer of even steps moves weights by hundredths, bits by units
MARGIN = 1e-3  # above a whole number that does not cost another bit
MOMENTUM = 0.9


@dataclass(frozen=True)
class Interpolated:
    """Between n and n + 1 bits, b = n + a: (1 - a)·Q_n + a·Q_{n+1}; Q_n has even levels up to `p["range"]`, and zero.

    Args:
        bits: the most. `p["bits"]` (1,) is b; only a whole one can be stored.
        signed: whether levels are as far below zero as above; then b is 2 or more.
    """

    bits: int
    signed: bool

    def step(self, p: Parameters, bits: Tensor) -> Tensor:
        """Spacing of the levels of Q_bits."""
        return p["range"] / self._highest(bits)

    def _highest(self, bits: Tensor) -> Tensor:
        return 2.0 ** (bits - int(self.signed)) - 1

    def whole(self, x: Tensor, p: Parameters, bits: Tensor) -> Tensor:
        """Q_bits(x) for a whole bit-width (1,)."""
        return self._level(x, p, bits) * per_grain(self.step(p, bits), x)

    def _level(self, x: Tensor, p: Parameters, bits: Tensor) -> Tensor:
        highest = per_grain(self._highest(bits), x)
        lowest = -highest if self.signed else torch.zeros_like(highest)
        return torch.clamp(torch.round(x / per_grain(self.step(p, bits), x)), lowest, highest)

    def slope(self, x: Tensor, p: Parameters) -> Tensor:
        """∂value/∂b = Q_{n+1} - Q_n: to the right where b is whole."""
        floor = torch.floor(p["bits"])
        return self.whole(x, p, floor + 1) - self.whole(x, p, floor)

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        floor = torch.floor(p["bits"])
        lower = self.whole(x, p, floor)
        return lower + per_grain(p["bits"] - floor, x) * (self.whole(x, p, floor + 1) - lower)

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        return torch.bitwise_and(self._level(x, p, p["bits"]).to(torch.int64), 2 ** int(p["bits"]) - 1)

    def levels(self, p: Parameters) -> basis_ops.Levels:
        highest, bits = int(self._highest(p["bits"])), int(p["bits"])
        rounded = torch.arange(-highest if self.signed else 0, highest + 1, device=p["range"].device)
        return uniform.rounded_levels(rounded, self.step(p, p["bits"]), bits)

    def starts_at_zero(self, p: Parameters) -> bool:
        return not self.signed

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        return Affine(int(p["bits"]), self.signed), self.step(p, p["bits"]).detach().float().cpu().numpy()


class LearnedBits(Rule):
    """A bit-width b per tensor, in a range that follows the largest magnitude. The loss gets STRENGTH · share · b.

    The range of weights is that of the weights as they are, of activations a running mean over batches. b starts at the
    most and stays between that and 1 (2 with negative levels). After `finish` it is rounded up and stays.

    Args:
        grid: where the levels lie.
        grains: 1.
        sample_axis: whether the values are activations.
    Raises: QuantizerError for another grid.
    Source: Nikolić et al., "BitPruning", arXiv 2002.03090. Differs: ranges around zero, so that zero is a level;
    strength and pace are ours.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Interpolated):
            raise QuantizerError(f"learned bits have a grid that interpolates, got {grid}")
        self.grid, self.sample_axis, self.snapped, self.gradient_scale = grid, sample_axis, False, 1.0
        self.share = 1.0  # of the cost, see `quant.bit_costs`
        self.pace = nn.Parameter(torch.full((grains,), grid.bits / PACE))
        self.range: Tensor
        self.resting: Tensor
        self.register_buffer("range", torch.ones(grains))
        self.register_buffer("resting", torch.zeros(grains))  # 0 until the bit-width is fixed

    @property
    def learned(self) -> Tensor:
        """b, (1,). Steps in proportion to gradients move b as if it were the parameter; larger ones drown in noise."""
        return scale_gradient(self.pace * PACE, 1 / PACE**2)

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """The range of x."""
        self.range.fill_(max(float(x.abs().max()), SMALLEST_RANGE))

    def follow(self, weight: Tensor) -> None:
        self.fit(weight)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """The running mean of the range of activations."""
        if self.sample_axis:
            largest = x.detach().float().abs().max()
            self.range.copy_((MOMENTUM * self.range + (1 - MOMENTUM) * largest).clamp_min(SMALLEST_RANGE))

    def penalty(self, weight: Tensor | None) -> Tensor:
        return STRENGTH * self.share * self.learned.sum()

    def parameters_of_grid(self) -> Parameters:
        if not self.snapped:
            return {"range": self.range.clone(), "bits": self.learned}
        final = self.final_parameters()
        return {**final, "bits": with_gradient_of(final["bits"], self.learned)}

    @torch.no_grad()
    def final_parameters(self) -> Parameters:
        """Range, and the whole bit-width: the one that was fixed, else the next above b."""
        bits = torch.where(self.resting > 0, self.resting, torch.ceil(self.learned - MARGIN))
        return {"range": self.range.clone(), "bits": bits}

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep b in its range."""
        self.pace.clamp_((2 if self.grid.signed else 1) / PACE, self.grid.bits / PACE)

    @torch.no_grad()
    def finish(self) -> None:
        self.snapped = True
        self.resting.copy_(self.final_parameters()["bits"])


def interpolated(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """BitPruning: ∂x̂/∂b = Q_{n+1} - Q_n; ∂x̂/∂x = 1 within the range, 0 outside."""
    if not isinstance(grid, Interpolated):
        raise QuantizerError(f"the interpolated surrogate has a grid that interpolates, got {grid}")
    wide = x.float()
    top = per_grain(p["range"], x)
    inside = torch.clamp(wide, -top if grid.signed else torch.zeros_like(top), top)
    free = {key: value.detach() for key, value in p.items()}
    slope = grid.slope(wide.detach(), free)
    return with_gradient_of(grid.value(wide.detach(), free), inside + per_grain(p["bits"], x) * slope).to(x.dtype)
