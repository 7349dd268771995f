"""Surrogates: same value as the grid, chosen backward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..ops import uniform
from ..ops.grains import per_grain
from ..ops.surrogate import with_gradient_of
from .grids import Basis, Grid, Offset, Parameters, Uniform

Surrogate = Callable[[Tensor, Grid, Parameters, float], Tensor]
"""(values, grid, parameters, gradient scale) to quantized values of the same shape and type."""


def step_aware(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """LSQ: ∂x̂/∂x = 1 inside the clip; the step gets its three-branch gradient (see `ops.uniform.fake_quantize`)."""
    if not isinstance(grid, Uniform):
        raise QuantizerError(f"the step-aware surrogate has a uniform grid, got {grid}")
    return uniform.fake_quantize(x, per_grain(p["step"], x), *grid.limits, gradient_scale, grid.half_up)


def offset_aware(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """LSQ+: as `step_aware`, and the offset gets 1 outside the clip (see `ops.uniform.fake_quantize_around`)."""
    if not isinstance(grid, Offset):
        raise QuantizerError(f"the offset-aware surrogate has an offset grid, got {grid}")
    return uniform.fake_quantize_around(x, p["step"], p["zero"], *grid.limits)


def clip_only(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """PACT: with the clip α, ∂x̂/∂x = 1 for 0 <= x < α, else 0; ∂x̂/∂α = 1 for x >= α, else 0."""
    if not isinstance(grid, Uniform):
        raise QuantizerError(f"the clip-only surrogate has a uniform grid, got {grid}")
    wide, clip = x.float(), per_grain(p["step"], x) * grid.limits[1]
    # `clamp` passes x up to and with its bound, hence the number before α. A selection by x < α would say the same, but
    # its mask is stored, and compiled code that reads masks is not vectorized: fifteen times as slow.
    below = with_gradient_of(torch.nextafter(clip, torch.zeros_like(clip)), clip)
    passed = torch.clamp(wide.clamp(min=0), max=below)
    return with_gradient_of(grid.value(wide.detach(), p), passed).to(x.dtype)


def saturated(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """Hard tanh: ∂x̂/∂x = 1 from the lowest level to the highest, 0 outside; nothing reaches the parameters."""
    wide, levels = x.float(), grid.levels(p).values.detach()
    low, high = per_grain(levels[:, 0], x), per_grain(levels[:, -1], x)
    return with_gradient_of(grid.value(wide.detach(), p), torch.clamp(wide, low, high)).to(x.dtype)


def clipped(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """LQ-Nets: weights ∂x̂/∂w = 1; activations ∂x̂/∂x = 1 up to q_max, 0 above. Nothing reaches the basis."""
    if not isinstance(grid, Basis):
        raise QuantizerError(f"the clipped surrogate has a basis grid, got {grid}")
    wide = x.float()
    levels = grid.levels(p)
    value = grid.value(wide.detach(), p)
    passed = wide if grid.signed else wide.clamp(max=levels.values[0, -1].detach())
    return with_gradient_of(value, passed).to(x.dtype)


def straight_through(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """∂x̂/∂x = 1 everywhere; nothing reaches the parameters."""
    wide = x.float()
    return with_gradient_of(grid.value(wide.detach(), p), wide).to(x.dtype)


def postponed(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """x itself while the rule gives no levels; then straight-through."""
    return straight_through(x, grid, p, gradient_scale) if p else x
