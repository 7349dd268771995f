"""Grains: one set of parameters for a whole tensor, or one for every entry along axis 0."""

from __future__ import annotations

from torch import Tensor


def per_grain(parameter: Tensor, x: Tensor) -> Tensor:
    """(G,) as (G, 1, 1, ...) so that it broadcasts to `x` (G, ...); (1,) broadcasts to anything."""
    return parameter.reshape(-1, *[1] * (x.dim() - 1))


def rows_of(x: Tensor, grains: int) -> Tensor:
    """The values as float32 rows (G, N), one row per grain, without gradient."""
    return x.detach().float().reshape(grains, -1)
