"""The range of an asymmetric uniform quantizer from data."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_SPAN = 1e-8


def best_window(x: Tensor, steps: int) -> tuple[float, float]:
    """Lowest level and step of the `steps + 1` even levels of least squared error on x, by a search, refined once.

    Both ends go from the extremes of the data towards zero, which stays inside: low <= 0 <= low + steps * step.

    Args:
        x: flat values, float32. steps: number of levels less one.
    """
    low, high = min(float(x.min()), 0.0), max(float(x.max()), SMALLEST_SPAN)
    shares = torch.linspace(0.04, 1, 25).tolist()
    low, high = _best(x, steps, [low * share for share in shares] if low else [0.0], [high * s for s in shares])
    near = torch.linspace(0.96, 1.04, 9).tolist()
    low, high = _best(x, steps, [low * share for share in near] if low else [0.0], [high * s for s in near])
    return low, (high - low) / steps


def _best(x: Tensor, steps: int, lows: list[float], highs: list[float]) -> tuple[float, float]:
    return min(((low, high) for low in lows for high in highs), key=lambda ends: _error(x, steps, *ends))


def _error(x: Tensor, steps: int, low: float, high: float) -> float:
    step = (high - low) / steps
    level = torch.round((x - low) / step).clamp_(0, steps)
    return float((level * step + low - x).square_().mean())
