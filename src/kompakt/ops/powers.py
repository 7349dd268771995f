"""Powers of two: a product with one is a shift."""

from __future__ import annotations

import torch
from torch import Tensor

from .surrogate import with_gradient_of

EXPONENT = 0x7F800000  # of a float32
TO_NEXT = 0x00800000 - 0x003504F4  # carries fractions from sqrt(2) on into the exponent


def nearest_power(x: Tensor) -> Tensor:
    """AP2(x) = sign(x) · 2^round(log2|x|), exactly, float32; 0 for 0 and for magnitudes below 2^-126.

    AP2(x) / x lies between 1 / sqrt(2) and sqrt(2). No gradient.
    """
    wide = x.detach().float()
    power = ((wide.abs().view(torch.int32) + TO_NEXT) & EXPONENT).view(torch.float32)
    return torch.copysign(power, wide)


def nearest_power_ste(x: Tensor) -> Tensor:
    """Forward: `nearest_power`. Backward: 1."""
    return with_gradient_of(nearest_power(x), x.float())
