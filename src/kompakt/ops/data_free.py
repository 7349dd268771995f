"""Levels of weights from their range alone. Rows (G, N) float32 give whole levels (G, 2^bits) and scales (G, 1).

Source: Nayak, Zhang, Chai, "Bit Efficient Quantization for Deep Neural Networks", EMC2 2019, compare such schemes; the
formulas are the usual ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .basis import to_16_bits

SMALLEST_SCALE = float(torch.finfo(torch.float32).tiny) * 2**24


def affine_levels(x: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Even levels from the lowest to the highest value of a row, 0 among them: step · (q - zero), q = 0 .. 2^bits - 1.

    step = (max - min) / (2^bits - 1), zero = the whole number nearest to -min / step; min <= 0 <= max.
    """
    low, high = x.amin(1, keepdim=True).clamp_max(0), x.amax(1, keepdim=True).clamp_min(0)
    step = to_16_bits(((high - low) / (2**bits - 1)).clamp_min(SMALLEST_SCALE))
    zero = torch.round(-low / step).clamp(0, 2**bits - 1)
    return torch.arange(2**bits) - zero, step


def power_levels(x: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """0 and both signs of the 2^(bits - 1) - 1 powers of two up to 2^floor(log2(4/3 · max|x|)); the last level twice.

    4/3: the next power would be nearer to the largest value from there on.
    """
    count = 2 ** (bits - 1) - 1
    top = torch.floor(torch.log2(x.abs().amax(1, keepdim=True).clamp_min(SMALLEST_SCALE) * (4 / 3)))
    powers = 2.0 ** torch.arange(count)
    levels = torch.cat([-powers.flip(0), torch.zeros(1), powers, powers[-1:]])
    return levels.expand(len(x), -1).clone(), (2.0 ** (top - (count - 1))).clamp_min(SMALLEST_SCALE)
