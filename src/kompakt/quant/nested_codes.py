"""Nested uniform codes: the code of fewer bits is the beginning of the 8-bit code, so that one tensor holds all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..encoding import Affine, Encoding, Planes
from ..ops import basis as basis_ops
from ..ops import uniform
from ..ops.grains import per_grain, rows_of
from ..ops.surrogate import pace_by_size, scale_gradient, with_gradient_of
from .grids import Grid, Parameters
from .rule import FittedScale

DEPTH, HALF = 8, 128
SMALLEST_CLIP = 1e-6
CANDIDATES = 80  # clips that a start is chosen from


@dataclass(frozen=True)
class Nested:
    """The first `bits` bits of q = clip(round(x / step), -127, 127), two's complement; `p["step"]`, shape (G,).

    All 8 bits mean q · step. Fewer bits are the cell of 2^(8 - bits) neighbouring q, and mean its middle: odd multiples
    of half a cell, as many above zero as below.

    Raises: QuantizerError for values that are never negative.
    """

    bits: int
    signed: bool

    def __post_init__(self) -> None:
        if not self.signed:
            raise QuantizerError("nested codes are of values of both signs; use another grid after a ReLU")

    @property
    def width(self) -> int:
        """How many 8-bit codes a cell holds."""
        return int(2 ** (DEPTH - self.bits))

    def whole(self, x: Tensor, p: Parameters) -> Tensor:
        """x in steps, between the limits, not rounded."""
        return torch.clamp(x / per_grain(p["step"], x), 1 - HALF, HALF - 1)

    def middle(self, cell: Tensor) -> Tensor:
        """Value of the cells (numbers from -2^(bits - 1)), in steps."""
        return cell * self.width + (self.width / 2 if self.width > 1 else 0)

    def cell(self, whole: Tensor) -> Tensor:
        """Number of the cell that holds a value in steps."""
        return torch.floor(torch.round(whole) / self.width)

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        return self.middle(self.cell(self.whole(x, p))) * per_grain(p["step"], x)

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        return torch.bitwise_and(self.cell(self.whole(x, p)).to(torch.int64), 2**self.bits - 1)

    def levels(self, p: Parameters) -> basis_ops.Levels:
        """Levels, and thresholds at which strict comparisons do what `cell` does."""
        if self.width == 1:
            return uniform.rounded_levels(torch.arange(1 - HALF, HALF), p["step"], self.bits)
        cells = torch.arange(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1), device=p["step"].device)
        # An edge lies half a step below an even q, to which round() takes it: it belongs to the cell above.
        edge = p["step"][:, None] * (cells[1:] * self.width - 0.5)
        below = torch.nextafter(edge, torch.full_like(edge, -torch.inf))
        values = p["step"][:, None] * self.middle(cells)
        return basis_ops.Levels(values, below, torch.bitwise_and(cells, 2**self.bits - 1).expand(values.shape))

    def starts_at_zero(self, p: Parameters) -> bool:
        return False

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        step = p["step"].detach().float().reshape(-1).cpu().numpy()
        if self.width == 1:
            return Affine(DEPTH, signed=True), step
        # 2·cell + 1 of a two's complement cell is ±1 ±2 ±4 .. with the sign of the last, largest one turned round.
        basis = (1 << np.arange(self.bits)).astype(np.int16)
        basis[-1] = -basis[-1]
        return Planes(self.bits, basis, "pm"), step * np.float32(self.width / 2)


class SharedClip(FittedScale):
    """One clip c per grain, trained by gradient descent; step = c / 128. Quantizers of several bit-widths can share it.

    Start: least squared error at this bit-width. Gradient scale 1 / sqrt(N), N = values per grain: at 2 bits, whose
    levels are ±c/4 and ±3c/4, that of LSQ. Small clips among several learn as slowly as their size says.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the values.
        sample_axis: not used; the method is for weights.
    Raises: QuantizerError for another grid.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Nested):
            raise QuantizerError(f"a shared clip has a grid of nested codes, got {grid}")
        self.grid = grid
        self.clip = nn.Parameter(torch.ones(grains))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """The clip of least squared error among fractions of the largest magnitude."""
        rows = rows_of(x, len(self.clip))
        largest = rows.abs().amax(1).clamp_min(SMALLEST_CLIP)
        clips = largest[:, None] * torch.linspace(0.1, 1.5, CANDIDATES, device=x.device)
        errors = [(self.grid.value(rows, {"step": c / HALF}) - rows).square().mean(1) for c in clips.unbind(1)]
        best = torch.argmin(torch.stack(errors, 1), 1, keepdim=True)
        self.clip.copy_(clips.gather(1, best)[:, 0])
        self.gradient_scale = 1.0 / math.sqrt(x.numel() // len(self.clip))

    def rescale(self, factor: Tensor) -> None:
        self.clip.data.mul_(factor)

    def parameters_of_grid(self) -> Parameters:
        pace = pace_by_size(self.clip.detach()) * self.gradient_scale
        return {"step": scale_gradient(self.clip, pace) / HALF}

    def final_parameters(self) -> Parameters:
        """The step as it is."""
        return {"step": self.clip.detach() / HALF}

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the clip above a floor: one that crosses zero never comes back."""
        self.clip.clamp_(min=SMALLEST_CLIP)


def nested_aware(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """As LSQ on cells: with v = x / step, ∂x̂/∂x = 1 inside the clip, 0 outside; ∂x̂/∂step = middle - v inside.

    Outside, ∂x̂/∂step is the middle of the outermost cell. The rule has scaled the gradient of the step already.
    """
    if not isinstance(grid, Nested):
        raise QuantizerError(f"the nested-aware surrogate has a grid of nested codes, got {grid}")
    whole = grid.whole(x.float(), p)
    return (with_gradient_of(grid.middle(grid.cell(whole)), whole) * per_grain(p["step"], x)).to(x.dtype)
