"""Steps of uniform grids from data, each by one criterion. Rows `x` (G, N) float32 give steps (G,) > 0.

`lo` and `hi` are the lowest and highest level, `lo <= 0 < hi`. Rows of zeros give a tiny step.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .entropy import entropy_limit

SMALLEST_STEP = 1e-8
PERCENTILE = 99.99
ALTERNATIONS = 8
SHORT = 256
COARSE = 65_536  # values of a row that the first, coarse search looks at
ENOUGH = 131_072  # values of a row that least squares look at
FINER = 4
"""Halvings of a step that a search for powers of two tries."""


def largest_step(x: Tensor, lo: int, hi: int) -> Tensor:
    """The smallest step at which nothing is clipped (min-max calibration)."""
    top = x.amax(1) / hi
    if lo < 0:
        top = torch.maximum(top, -x.amin(1) / -lo)
    return top.clamp_min(SMALLEST_STEP)


def magnitude_step(x: Tensor, lo: int, hi: int) -> Tensor:
    """The step whose highest level is the largest magnitude; on a signed grid the lowest level stays unused."""
    return (x.abs().amax(1) / hi).clamp_min(SMALLEST_STEP)


def percentile_step(x: Tensor, lo: int, hi: int, percentile: float = PERCENTILE) -> Tensor:
    """The step that clips `100 - percentile` percent of a row's values, counted by magnitude."""
    kept = max(1, math.ceil(x.shape[1] * percentile / 100))
    magnitude = x.clamp_min(0) if lo == 0 else x.abs()
    return (magnitude.kthvalue(kept, dim=1).values / hi).clamp_min(SMALLEST_STEP)


def least_squares_step(x: Tensor, lo: int, hi: int) -> Tensor:
    """The step of least squared error, found by a search over 80 steps, a finer one, and alternating least squares.

    Given the levels t, the best step is <x, t> / <t, t>; given the step, the best levels are the nearest. The error of
    a short row (a depthwise filter) is jagged, so its search is finer and goes to larger steps; that of a long one (a
    batch of activations) is flat around its best, so every k-th value is enough.

    Source: Choukroun et al., "Low-bit Quantization of Neural Networks for Efficient Inference", ICCVW 2019, section 3.
    """
    x = _thinned(x, ENOUGH)
    step = searched_step(x, lo, hi) if x.shape[1] > SHORT else searched_step(x, lo, hi, 400, furthest=2.5)
    for _ in range(ALTERNATIONS):
        level = torch.clamp(torch.round(x / step[:, None]), lo, hi)
        power = level.square().sum(1)
        step = torch.where(power > 0, (x * level).sum(1) / power.clamp_min(1), step).clamp_min(SMALLEST_STEP)
    return step


def searched_step(x: Tensor, lo: int, hi: int, count: int = 80, furthest: float = 1.05) -> Tensor:
    """The step of least squared error among `count` fractions of the largest step, refined once.

    Of long rows the first search takes every k-th value; the refinement takes all.
    """
    fractions = torch.linspace(0.02, furthest, count, device=x.device)
    best = _best_fraction(_thinned(x, COARSE), largest_step(x, lo, hi), fractions, lo, hi)
    return _best_fraction(x, best, torch.linspace(0.95, 1.05, 21, device=x.device), lo, hi)


def _thinned(x: Tensor, count: int) -> Tensor:
    """About `count` values of every row, every k-th one with k odd; all if they are few."""
    return x[:, :: (x.shape[1] // count) | 1].contiguous() if x.shape[1] > count else x


def _best_fraction(x: Tensor, base: Tensor, fractions: Tensor, lo: int, hi: int) -> Tensor:
    steps, error = base[:, None] * fractions, torch.empty_like(x)
    errors = []
    for step in steps[..., None].unbind(1):
        torch.div(x, step, out=error)
        errors.append(error.round_().clamp_(lo, hi).mul_(step).sub_(x).square_().mean(1))
    best = torch.argmin(torch.stack(errors, 1), 1, keepdim=True)
    return steps.gather(1, best)[:, 0]


def power_of_two_step(x: Tensor, lo: int, hi: int) -> Tensor:
    """The power of two of least squared error: the smallest at which nothing is clipped, or one of `FINER` below it."""
    coarsest = no_clip_step(x, lo, hi)
    halvings = torch.arange(FINER + 1, device=x.device)
    return _best_fraction(x, coarsest, 0.5**halvings, lo, hi)


def no_clip_step(x: Tensor, lo: int, hi: int) -> Tensor:
    """The smallest power of two at which nothing is clipped."""
    mantissa, exponent = torch.frexp(largest_step(x, lo, hi))
    return torch.ldexp(torch.ones_like(mantissa), exponent - (mantissa == 0.5).int())


def entropy_step(x: Tensor, lo: int, hi: int) -> Tensor:
    """The step whose clipped and quantized histogram diverges least from the data's (see `ops.entropy`)."""
    magnitude = x.clamp_min(0) if lo == 0 else x.abs()
    limits = [entropy_limit(row, hi) for row in magnitude.unbind(0)]
    return (torch.stack(limits) / hi).clamp_min(SMALLEST_STEP)


def ternary_step(x: Tensor, lo: int, hi: int) -> Tensor:
    """The magnitude α of the ternary vector α·t, t in {-1, 0, 1}, that is nearest to the row; O(N log N).

    With the magnitudes in descending order, t keeps the M largest, M = argmax of (sum of the M largest) / √M, which
    maximises the cosine of x and t, and α is their mean. Every kept value is above α/2 and every other below, so
    rounding to the nearest of -α, 0, α gives t.

    Source: Zhang et al., "Neural Networks Weights Quantization: Target None-retraining Ternary", arXiv 1912.04236.
    Raises: ValueError for a grid that is not -1, 0, 1.
    """
    if (lo, hi) != (-1, 1):
        raise ValueError(f"ternary levels are -1, 0, 1, got {lo}..{hi}")
    sums = x.abs().double().sort(dim=1, descending=True).values.cumsum(1)
    counts = torch.arange(1, x.shape[1] + 1, dtype=torch.float64, device=x.device)
    kept = torch.argmax(sums / counts.sqrt(), 1, keepdim=True)
    return (sums.gather(1, kept) / (kept + 1))[:, 0].float().clamp_min(SMALLEST_STEP)
