"""Two low-bit tensors for one: x ≈ step · (a·p + b·q), p and q two's complement codes of h bits, a >= b whole."""

from __future__ import annotations

from functools import cache
from math import gcd

import torch
from torch import Tensor

from .steps import SMALLEST_STEP

LARGEST_SUM = 15  # a + b: 8 · 15 is the largest level of two 4-bit codes that fits 127
SEARCHED_VALUES = 512
FRACTIONS = 24
ALTERNATIONS = 8


@cache
def ratios() -> tuple[tuple[int, int], ...]:
    """Every pair (a, b), a >= b >= 1, without common divisor and a + b <= 15."""
    sums = [(a, b) for a in range(1, LARGEST_SUM) for b in range(1, a + 1) if a + b <= LARGEST_SUM]
    return tuple(pair for pair in sums if gcd(*pair) == 1)


def dual_basis(pair: Tensor, half_bits: int) -> Tensor:
    """Weight of every bit of the code `q + 2^h p`, lowest bit first: (G, 2) -> (G, 2h)."""
    powers = 2 ** torch.arange(half_bits, device=pair.device)
    powers[-1] *= -1  # the sign of two's complement
    return torch.cat([pair[:, 1:] * powers, pair[:, :1] * powers], dim=1)


def joint_search(x: Tensor, half_bits: int) -> tuple[Tensor, Tensor]:
    """The pair and the step of least squared error for every row of x (G, N): (G, 2) int64 and (G,).

    Every pair is tried at 24 steps, each value going to the nearest of all sums; the best pair's step is then refined
    by alternating least squares. Up to 512 values of a row, evenly spaced in order of size, decide on the pair.

    Source: Choukroun et al., ICCVW 2019, section 3 (two tensors). Differs: the ratio of the two scales is one of whole
    numbers, so that a single integer dot product computes both.
    """
    rows = _spread(x)
    top = rows.abs().amax(1, keepdim=True).clamp_min(SMALLEST_STEP)
    best = torch.full((len(rows),), torch.inf)
    pair, step = torch.ones(len(rows), 2, dtype=torch.int64), torch.ones(len(rows))
    for candidate in ratios():
        levels = sums(candidate, half_bits)
        sizes = top * torch.linspace(0.3, 1.1, FRACTIONS) / levels.abs().max()  # (G, fractions)
        scaled = rows[:, None] / sizes[:, :, None]
        errors = ((_nearest(scaled, levels) - scaled) * sizes[:, :, None]).square().mean(2)
        least, place = errors.min(1)
        better = least < best
        best = torch.where(better, least, best)
        pair[better], step[better] = torch.tensor(candidate), sizes.gather(1, place[:, None])[better, 0]
    return pair, _refined(x, pair, step, half_bits)


def sums(pair: tuple[int, int], half_bits: int) -> Tensor:
    """The distinct levels a·p + b·q, ascending, float32."""
    codes = torch.arange(-(2 ** (half_bits - 1)), 2 ** (half_bits - 1))
    found = (pair[0] * codes[:, None] + pair[1] * codes).flatten().tolist()
    return torch.tensor(sorted(set(found)), dtype=torch.float32)


def _refined(x: Tensor, pair: Tensor, step: Tensor, half_bits: int) -> Tensor:
    """The best step for the levels, then the nearest levels for the step, and so on."""
    step = step.clone()
    for candidate in {(int(a), int(b)) for a, b in pair}:
        own = (pair == torch.tensor(candidate)).all(1)
        levels, rows = sums(candidate, half_bits), x[own]
        for _ in range(ALTERNATIONS):
            level = _nearest(rows / step[own, None], levels)
            power = level.square().sum(1)
            step[own] = torch.where(power > 0, (rows * level).sum(1) / power.clamp_min(1), step[own])
    return step.clamp_min(SMALLEST_STEP)


def _nearest(x: Tensor, levels: Tensor) -> Tensor:
    level: Tensor = levels[torch.searchsorted((levels[:-1] + levels[1:]) / 2, x.contiguous())]
    return level


def _spread(x: Tensor) -> Tensor:
    if x.shape[1] <= SEARCHED_VALUES:
        return x
    places = torch.linspace(0, x.shape[1] - 1, SEARCHED_VALUES).round().long()
    return x.sort(dim=1).values[:, places]
