"""Subsets of tensors for statistics."""

from __future__ import annotations

from torch import Tensor


def thinned(x: Tensor, count: int) -> Tensor:
    """About `count` values of x (flat), every k-th one with k odd, so that no axis is favoured; all if they are few."""
    flat = x.reshape(-1)
    stride = max(1, flat.numel() // count) | 1
    return flat[::stride] if flat.numel() > count else flat
