"""Surrogates: same value as the grid, chosen backward."""

from __future__ import annotations

from torch import Tensor

from ..ops import uniform
from ..ops.surrogate import with_gradient_of
from .grids import Basis, Parameters, Uniform


def step_aware(x: Tensor, grid: Uniform, p: Parameters, gradient_scale: float) -> Tensor:
    """LSQ: ∂x̂/∂x = 1 inside the clip; the step gets its three-branch gradient (see `ops.uniform.fake_quantize`)."""
    return uniform.fake_quantize(x, p["step"], *grid.limits, gradient_scale)


def clipped(x: Tensor, grid: Basis, p: Parameters, gradient_scale: float) -> Tensor:
    """LQ-Nets: weights ∂x̂/∂w = 1; activations ∂x̂/∂x = 1 where x < q_max, 0 above. Nothing reaches the basis."""
    wide = x.float()
    levels = grid.levels(p)
    value = grid.value(wide.detach(), p)
    passed = wide if grid.signed else wide.clamp(max=levels.values[0, -1].detach())
    return with_gradient_of(value, passed).to(x.dtype)
