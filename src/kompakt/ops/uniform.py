"""The uniform grid: levels are whole multiples of one step."""

from __future__ import annotations

import torch
from torch import Tensor

from .basis import Levels
from .surrogate import scale_gradient, ste_round, with_gradient_of


def limits(bits: int, signed: bool, symmetric: bool = False) -> tuple[int, int]:
    """Lowest and highest level: -2^(b-1), 2^(b-1) - 1 if signed (`symmetric`: without the lowest), else 0, 2^b - 1."""
    if not signed:
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)) + int(symmetric), 2 ** (bits - 1) - 1


def nearest_whole(x: Tensor, half_up: bool = False) -> Tensor:
    """The nearest whole number; a half goes to the even one, or up, as an integer does that is shifted right."""
    if not half_up:
        return torch.round(x)
    below = torch.floor(x)
    return below + (x - below >= 0.5)  # not floor(x + 0.5), whose sum may itself be rounded up


def rounded_levels(rounded: Tensor, step: Tensor, bits: int, zero: Tensor | int = 0, half_up: bool = False) -> Levels:
    """Levels `(rounded + zero) * step`, with thresholds at which strict comparisons do what rounding does.

    Args:
        rounded: neighbouring whole numbers, ascending, (L,); their low `bits` bits are the codes.
        step: (G,). zero: whole number of steps added after rounding. half_up: see `nearest_whole`.
    """
    level = rounded + zero
    values, middle = step[:, None] * level, step[:, None] * (level[:-1] + 0.5)
    goes_up = rounded[1:] % (1 if half_up else 2) == 0  # a value on the threshold belongs to the even neighbour
    below = torch.nextafter(middle, torch.full_like(middle, -torch.inf))
    codes = torch.bitwise_and(rounded, 2**bits - 1)
    return Levels(values, torch.where(goes_up, below, middle), codes.expand(values.shape))


def fake_quantize(
    x: Tensor, step: Tensor, lo: int | Tensor, hi: int | Tensor, gradient_scale: float, half_up: bool = False
) -> Tensor:
    """Round to a uniform grid and back, with a gradient for the step.

    Forward:  v = x / step;  x̂ = step · clip(round(v), lo, hi)
    Backward: ∂x̂/∂x = 1 inside the clip, 0 outside;
              ∂x̂/∂step = (round(v) - v inside, lo below, hi above) · gradient_scale.

    Args:
        x: values, any unit u, any float type; computed in float32.
        step: spacing of levels, unit u, > 0, broadcastable to x.
        lo, hi: lowest and highest level; of both kinds alike, tensors broadcastable to x.
        gradient_scale: factor g of the step's gradient only.
        half_up: see `nearest_whole`.
    Returns: x̂ in u, shape and type of x.
    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, eq. 1-3 and section 2.2. Differs: where v is
    exactly lo or hi, the gradient is that of the inside.
    """
    step = scale_gradient(step, gradient_scale)
    inside = torch.clamp(x.float() / step, lo, hi)  # type: ignore[arg-type]  # the stubs lack the union
    level = with_gradient_of(nearest_whole(inside, half_up), inside)
    return (level * step).to(x.dtype)


def fake_quantize_around(x: Tensor, step: Tensor, zero: Tensor, lo: int, hi: int) -> Tensor:
    """Round to a uniform grid around an offset and back, with gradients for step and offset.

    Forward:  v = x / step - zero;  x̂ = (clip(round(v), lo, hi) + zero) · step
    Backward, with β = zero · step: ∂x̂/∂x = 1 inside the clip, 0 outside; ∂x̂/∂β = 0 inside, 1 outside;
              ∂x̂/∂step = round(v) - v inside, lo below, hi above.

    Args:
        x: values, any unit u, any float type; computed in float32.
        step: spacing of levels, unit u, > 0. zero: offset in steps, not necessarily whole. Both broadcastable to x.
        lo, hi: lowest and highest rounded number.
    Returns: x̂ in u, shape and type of x.
    Source: Bhalgat et al., "LSQ+", CVPR Workshops 2020.
    """
    rounded = ste_round(torch.clamp(x.float() / step - zero, lo, hi))
    return ((rounded + zero) * step).to(x.dtype)
