"""Values with a chosen derivative. The forward value is exact: `value + (z - z)`, never `z + (value - z)`."""

from __future__ import annotations

import torch
from torch import Tensor


def with_gradient_of(value: Tensor, z: Tensor) -> Tensor:
    """Forward: `value`, bit for bit. Backward: the derivative of `z`."""
    return value.detach() + (z - z.detach()) if torch.is_grad_enabled() else value


def ste_round(x: Tensor) -> Tensor:
    """Forward: round half to even. Backward: 1."""
    return with_gradient_of(torch.round(x), x)


def scale_gradient(x: Tensor, factor: float | Tensor) -> Tensor:
    """Forward: `x`. Backward: `factor`."""
    return with_gradient_of(x, x * factor)


def pace_by_size(sizes: Tensor) -> Tensor:
    """(s / rms)², at most 1, (G,): times this, gradients change small sizes as fast, relatively, as large ones."""
    return (sizes.square() / sizes.square().mean()).clamp_max(1)
