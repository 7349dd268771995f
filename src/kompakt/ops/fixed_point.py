"""Real multipliers as integer products and shifts: what a fixed-point unit makes of a sum's scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Unit = Literal["early", "later"]
MANTISSA_BITS: dict[Unit, int] = {"early": 7, "later": 15}


@dataclass(frozen=True)
class FixedPoint:
    """A multiplier as shift, product and shift: `((sum >> pre) * scale) >> post`, about `sum * scale / 2^(pre + post)`.

    Source: the parameter files of Settle et al., "Quantizing Convolutional Neural Networks for Low-Power
    High-Throughput Inference Engines", 2018; their shifts round in a way that is not documented.
    """

    pre: int
    scale: int
    post: int

    @property
    def value(self) -> float:
        """The number that it multiplies by."""
        return math.ldexp(self.scale, -(self.pre + self.post))

    def apply(self, sums: Tensor, truncate: bool = False) -> Tensor:
        """Sums (int64) times the multiplier: both shifts rounded, halves up, or with `truncate` rounded down."""
        return _shift(_shift(sums, self.pre, truncate) * self.scale, self.post, truncate)


def fixed_point(multiplier: float, unit: Unit = "later") -> FixedPoint:
    """The nearest multiplier of a unit.

    With multiplier = m * 2^e, m in [1/2, 1): the early unit shifts by -e, multiplies by the 7-bit m and shifts by 7;
    the later one multiplies by the 15-bit m and shifts by 15 - e. The relative error is at most 2^-7, or 2^-15.

    Args:
        multiplier: step of the inputs times step of the weights over step of the outputs; 0 for a dead channel.
    Raises: ValueError for a number that is negative, not finite, or too large for the shifts.
    """
    bits = MANTISSA_BITS[unit]
    if multiplier == 0:
        return FixedPoint(0, 0, bits)
    if not (math.isfinite(multiplier) and 0 < multiplier < 2.0**bits):
        raise ValueError(f"a multiplier must lie in 0..2^{bits}, got {multiplier}")
    mantissa, exponent = math.frexp(multiplier)
    scale = math.floor(math.ldexp(mantissa, bits) + 0.5)
    if unit == "later":
        return FixedPoint(0, scale, bits - exponent)
    return FixedPoint(max(0, -exponent), scale, bits - max(0, exponent))


def _shift(x: Tensor, by: int, truncate: bool) -> Tensor:
    half = 0 if truncate or by == 0 else 1 << (by - 1)
    return torch.bitwise_right_shift(x + half, by)
