"""BitPruning: bit-widths that are trained by gradient descent, between two whole ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..encoding import Affine, Encoding, Planes
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
EIGHT = 8


@dataclass(frozen=True)
class Interpolated:
    """Between n and n + 1 bits, b = n + a: (1 - a)·Q_n + a·Q_{n+1}; Q_n has 2^n even levels in `p["range"]`, (G,).

    With negative levels they are -range to range, none of them 0, but for 8 bits: then -127 to 127 steps, which fit a
    byte. Without, 0 to range.

    Args:
        bits: the most. `p["bits"]` (1,) is b; only a whole one can be stored.
        signed: whether levels are as far below zero as above.
    """

    bits: int
    signed: bool

    def step(self, p: Parameters, bits: Tensor) -> Tensor:
        """Spacing of the levels of Q_bits, (G,)."""
        return p["range"] / self._highest(bits)

    def _highest(self, bits: Tensor) -> Tensor:
        """The highest level, in steps."""
        if not self.signed:
            return 2.0**bits - 1
        return torch.floor((2.0**bits - 1) / 2) + self._zero(bits)

    def _zero(self, bits: Tensor) -> Tensor:
        """How far levels lie above whole numbers of steps."""
        return 0.5 * (bits < EIGHT) if self.signed else torch.zeros_like(bits)

    def whole(self, x: Tensor, p: Parameters, bits: Tensor) -> Tensor:
        """Q_bits(x) for a whole bit-width (1,)."""
        return (self._rounded(x, p, bits) + per_grain(self._zero(bits), x)) * per_grain(self.step(p, bits), x)

    def _rounded(self, x: Tensor, p: Parameters, bits: Tensor) -> Tensor:
        highest, zero = per_grain(self._highest(bits), x), per_grain(self._zero(bits), x)
        lowest = -highest if self.signed else torch.zeros_like(highest)
        return torch.clamp(torch.round(x / per_grain(self.step(p, bits), x) - zero), lowest - zero, highest - zero)

    def slope(self, x: Tensor, p: Parameters) -> Tensor:
        """∂value/∂b = Q_{n+1} - Q_n: to the right where b is whole."""
        floor = torch.floor(p["bits"])
        return self.whole(x, p, floor + 1) - self.whole(x, p, floor)

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        floor = torch.floor(p["bits"])
        lower = self.whole(x, p, floor)
        return lower + per_grain(p["bits"] - floor, x) * (self.whole(x, p, floor + 1) - lower)

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        rounded = self._rounded(x, p, p["bits"]).to(torch.int64)
        lowest = 0 if self._is_affine(p) else 2 ** (int(p["bits"]) - 1)
        return torch.bitwise_and(rounded + lowest, 2 ** int(p["bits"]) - 1)

    def levels(self, p: Parameters) -> basis_ops.Levels:
        zero, highest, bits = float(self._zero(p["bits"])), float(self._highest(p["bits"])), int(p["bits"])
        lowest = -highest if self.signed else 0.0
        rounded = torch.arange(int(lowest - zero), int(highest - zero) + 1, device=p["range"].device)
        found = uniform.rounded_levels(rounded, self.step(p, p["bits"]), bits, self._zero(p["bits"]))
        if self._is_affine(p):
            return found
        return basis_ops.Levels(found.values, found.thresholds, (rounded - rounded[0]).expand(found.values.shape))

    def starts_at_zero(self, p: Parameters) -> bool:
        return not self.signed

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        bits, step = int(p["bits"]), self.step(p, p["bits"]).detach().float().cpu().numpy()
        if self._is_affine(p):
            return Affine(bits, self.signed), step
        return Planes(bits, (1 << np.arange(bits)).astype(np.int16), "pm"), step / 2

    def _is_affine(self, p: Parameters) -> bool:
        """Whether levels are whole numbers of steps; else the odd numbers of half steps."""
        return float(self._zero(p["bits"])) == 0


class LearnedBits(Rule):
    """A bit-width b per tensor, in ranges that follow the largest magnitudes. The loss gets STRENGTH · share · b.

    The ranges of weights, one per grain, are those of the weights as they are; that of activations is a running mean
    over batches. b starts at the most and stays between that and 1. After `finish` it is rounded up and stays.

    Args:
        grid: where the levels lie.
        grains: of weights, with a range each.
        sample_axis: whether the values are activations.
    Raises: QuantizerError for another grid.
    Source: Nikolić et al., "BitPruning", arXiv 2002.03090. Differs: ranges of weights lie around zero, those of
    activations start there; strength and pace are ours.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Interpolated):
            raise QuantizerError(f"learned bits have a grid that interpolates, got {grid}")
        self.grid, self.sample_axis, self.snapped, self.gradient_scale = grid, sample_axis, False, 1.0
        self.share = 1.0  # of the cost, see `quant.bit_costs`
        self.pace = nn.Parameter(torch.full((1,), grid.bits / PACE))
        self.range: Tensor
        self.resting: Tensor
        self.register_buffer("range", torch.ones(grains))
        self.register_buffer("resting", torch.zeros(1))  # 0 until the bit-width is fixed

    @property
    def learned(self) -> Tensor:
        """b, (1,). Steps in proportion to gradients move b as if it were the parameter; larger ones drown in noise."""
        return scale_gradient(self.pace * PACE, 1 / PACE**2)

    @property
    def bits_now(self) -> float:
        return float(self.final_parameters()["bits"] if self.snapped else self.learned.detach())

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """The range of x, of every grain."""
        self.range.copy_(x.abs().reshape(len(self.range), -1).amax(dim=1).clamp_min(SMALLEST_RANGE))

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
        self.pace.clamp_(1 / PACE, self.grid.bits / PACE)

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
