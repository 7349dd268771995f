"""Gradients of few bits: stochastic rounding to whole multiples of a power of two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SMALLEST = 2.0**-126  # float32's smallest normal number: a step below it would lose bits


def quantize_gradient(gradient: Tensor, bits: int) -> Tensor:
    """Round to a whole multiple of a power of two, up or down at random, with the value itself as the mean.

    ĝ = s · ⌊g / s + u⌋ with u ~ U[0, 1) for every value, s = 2^⌈log2(max|g| / (2^(b-1) - 1))⌉.

    Args:
        gradient: any shape; one step s for all of it.
        bits: b, 2 to 8.
    Returns: at most 2^b - 1 values, symmetric around 0, in the shape and type of `gradient`, where all are exact; 0
        stays 0. NaN or Inf anywhere make NaN.
    Source: Hubara et al., "Quantized Neural Networks", arXiv 1609.07061 has 6-bit gradients; its formula was not at
    hand, this one is ours: a power of two per layer, unbiased.
    """
    wide = gradient.float()
    mantissa, exponent = torch.frexp((wide.abs().amax() / (2 ** (bits - 1) - 1)).clamp_min(SMALLEST))
    exponent = torch.where(mantissa == 0.5, exponent - 1, exponent)  # m · 2^e with 1/2 <= m < 1: up to the next power
    step = torch.ldexp(torch.ones_like(mantissa), exponent)
    return (torch.floor(wide / step + torch.rand_like(wide)) * step).to(gradient.dtype)


def with_quantized_gradient(x: Tensor, bits: int) -> Tensor:
    """Forward: `x`. Backward: `quantize_gradient` of what arrives."""
    y: Tensor = _QuantizedGradient.apply(x, bits)  # type: ignore[no-untyped-call]
    return y


class _QuantizedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int) -> Tensor:
        ctx.bits = bits
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return quantize_gradient(gradient, ctx.bits), None
