"""The basis grid of LQ-Nets: levels are all signed (digits -1, +1) or plain (digits 0, 1) sums of K learned numbers.

Shapes: `G` grains (1, or output channels), `K` bits, `L = 2^K` levels. Values `x`: (G, ...) or, for G = 1, any.
Source: Zhang et al., "LQ-Nets", ECCV 2018, section 3.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from .grains import per_grain

MANY = 15  # thresholds; up to here comparing with each is as fast as bisection, and compiles


class Levels(NamedTuple):
    """Sorted levels (G, L), midpoints between them (G, L - 1), and the code of each sorted level (G, L) int64."""

    values: Tensor
    thresholds: Tensor
    codes: Tensor


def code_words(digits: str, like: Tensor) -> Tensor:
    """All digit vectors (L, K) for a basis `like` (G, K): row c holds the digits of code c, lowest bit first."""
    bits, device = like.shape[1], like.device
    bit = (torch.arange(2**bits, device=device)[:, None] >> torch.arange(bits, device=device)) & 1
    return (bit if digits == "01" else 2 * bit - 1).to(like.dtype)


def sorted_levels(basis: Tensor, digits: str) -> Levels:
    """Levels q = v·e of every code word e, ascending, with the thresholds t = (q_l + q_{l+1}) / 2. basis: (G, K)."""
    words = code_words(digits, basis)
    # One product and one sum per bit in a fixed order: the same float32 levels on every machine.
    values = basis[:, :1] * words[:, 0]
    for k in range(1, basis.shape[1]):
        values = values + basis[:, k : k + 1] * words[:, k]
    values, codes = torch.sort(values, dim=1, stable=True)
    return Levels(values, (values[:, :-1] + values[:, 1:]) / 2, codes)


def middles_by_logarithm(low: Tensor, high: Tensor) -> Tensor:
    """Geometric means of neighbouring levels; beside 0, a level over sqrt(2): there magnitudes would round below it."""
    product = low * high
    return torch.where(product == 0, (low + high) / 2**0.5, torch.sign(high) * product.clamp_min(0).sqrt())


def nearest_level(x: Tensor, levels: Levels) -> Tensor:
    """Value of the nearest level, type of the levels; a value on a threshold goes to the lower level (strict `>`)."""
    if levels.thresholds.shape[1] > MANY:
        return torch.gather(levels.values, 1, _bisected(x, levels)).reshape(x.shape)
    y = per_grain(levels.values[:, 0], x).expand_as(x)
    for i in range(levels.thresholds.shape[1]):
        y = torch.where(x > per_grain(levels.thresholds[:, i], x), per_grain(levels.values[:, i + 1], x), y)
    return y


def level_index(x: Tensor, levels: Levels) -> Tensor:
    """Index 0..L-1 of the nearest level, int64."""
    if levels.thresholds.shape[1] > MANY:
        return _bisected(x, levels).reshape(x.shape)
    above = [x > per_grain(levels.thresholds[:, i], x) for i in range(levels.thresholds.shape[1])]
    return torch.stack([a.long() for a in above]).sum(0)


def _bisected(x: Tensor, levels: Levels) -> Tensor:
    """Indices as `level_index` gives them, found by bisection, as rows (G, N)."""
    rows = x.to(levels.thresholds.dtype).reshape(len(levels.thresholds), -1)
    return torch.searchsorted(levels.thresholds.contiguous(), rows.contiguous())


def level_statistics(x: Tensor, levels: Levels) -> tuple[Tensor, Tensor]:
    """Per grain and sorted level: share of the values n_l and their mean contribution S_l / N, each (G, L).

    They are sufficient for the least-squares step: BBᵀ/N = Σ_l n_l e_l e_lᵀ and Bx/N = Σ_l S_l e_l.
    """
    dims = tuple(range(1, x.dim())) if levels.values.shape[0] > 1 else tuple(range(x.dim()))
    x = x.detach().to(levels.values.dtype)
    above = [(x > per_grain(levels.thresholds[:, i], x)).to(x.dtype) for i in range(levels.thresholds.shape[1])]
    ones = [torch.ones_like(levels.values[:, 0])] + [a.mean(dims).reshape(-1) for a in above]
    sums = [x.mean(dims).reshape(-1)] + [(a * x).mean(dims).reshape(-1) for a in above]
    zero = torch.zeros_like(ones[0])
    return _differences([*ones, zero]), _differences([*sums, zero])


def _differences(tails: list[Tensor]) -> Tensor:
    return torch.stack([a - b for a, b in pairwise(tails)], dim=1)


def least_squares_basis(
    basis: Tensor, levels: Levels, digits: str, shares: Tensor, sums: Tensor, ridge: float
) -> Tensor:
    """v = (BBᵀ + εI)⁻¹ (Bx + εv_old), with B's statistics per value; the ridge ε pulls to the old basis.

    Args: basis: v_old (G, K). levels: of the codes. shares, sums: (G, L), see `level_statistics`. Returns: v (G, K).
    """
    words = code_words(digits, basis)[levels.codes]  # (G, L, K), in sorted order
    weighted = words * shares[:, :, None]
    gram = torch.einsum("glk,glj->gkj", weighted, words)
    right = torch.einsum("glk,gl->gk", words, sums)
    eye = torch.eye(basis.shape[1], dtype=basis.dtype, device=basis.device)
    return solve_small(gram + ridge * eye, right + ridge * basis)


def solve_small(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve (G, K, K) · (G, K), symmetric positive definite, by elimination; K <= 8, compiles to plain arithmetic."""
    size = matrix.shape[-1]
    rows = [torch.cat([matrix[:, i], right[:, i : i + 1]], dim=1) for i in range(size)]
    for i in range(size):
        rows[i] = rows[i] / rows[i][:, i : i + 1]
        for j in range(size):
            if j != i:
                rows[j] = rows[j] - rows[j][:, i : i + 1] * rows[i]
    return torch.stack([row[:, -1] for row in rows], dim=1)


def quantization_error(x: Tensor, basis: Tensor, digits: str) -> Tensor:
    """Mean squared error of each grain, (G,)."""
    error = (nearest_level(x, sorted_levels(basis, digits)) - x) ** 2
    return error.flatten(1).mean(1) if basis.shape[0] > 1 else error.mean().reshape(1)


def alternate(x: Tensor, basis: Tensor, digits: str, ridge: float) -> Tensor:
    """One alternation of quantization error minimisation: nearest codes for the old basis, then least squares."""
    levels = sorted_levels(basis, digits)
    return least_squares_basis(basis, levels, digits, *level_statistics(x, levels), ridge)


def snap(basis: Tensor, largest: int = 127) -> tuple[Tensor, Tensor]:
    """Integer basis (G, K) and scale (G, 1) with basis ≈ integer · scale and every level within ±largest.

    The scale leaves room for the K roundings of half a unit, so no sum can pass `largest`. A basis entry is off by at
    most scale / 2, a level by at most K · scale / 2, where scale = Σ|v| / (largest - K / 2). The scale has 16
    significant bits: a level, a whole number of 7 bits times the scale, is then exact in float32, and the engine's
    decoded levels are those of training bit for bit.
    """
    room = largest - basis.shape[1] / 2
    scale = (basis.abs().sum(1, keepdim=True) / room).clamp_min(torch.finfo(torch.float32).tiny * 2**24)
    scale = to_16_bits(scale)
    integer = torch.round(basis / scale)
    dead = (integer == 0).all(1)  # a filter of zeros: any level will do, its scale is nearly nothing
    integer[:, 0] = torch.where(dead, torch.ones_like(integer[:, 0]), integer[:, 0])
    return integer, scale


def to_16_bits(x: Tensor) -> Tensor:
    """Positive x with the significand rounded to 16 bits: the lower 8 of the 24 that float32 has become zero."""
    return ((x.float().view(torch.int32) + 0x80) & ~0xFF).view(torch.float32).to(x.dtype)
