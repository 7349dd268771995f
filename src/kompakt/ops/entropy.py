"""The clipping limit of least divergence between a histogram and its quantized form."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 2048
STRIDE = 8


def entropy_limit(magnitude: Tensor, levels: int) -> Tensor:
    """Where to clip non-negative values so that `levels` steps keep most of their distribution.

    For every candidate limit, P is the histogram up to the limit with all that lies beyond added to its last bin; Q is
    the unclipped histogram merged into `levels` bins and spread evenly over those that are not empty. The limit of
    least KL(P || Q) wins; candidates are every eighth of 2,048 bins. With few levels the merging is too coarse to
    compare, so they are counted at least as 128.

    Args:
        magnitude: (N,), >= 0. levels: the highest level.
    Returns: the limit, a scalar tensor in the unit of `magnitude`.
    Source: the calibration by relative entropy that TensorRT made known (Migacz, GTC 2017); written from its idea.
    """
    top = magnitude.max()
    if float(top) <= 0:
        return top
    groups = max(levels, 128)
    counts = torch.histc(magnitude, BINS, 0.0, float(top)).double()
    counts[0] = counts[1]  # zeros are exact at every limit; after a ReLU they would outweigh all else
    ends = torch.arange(groups, BINS + 1, STRIDE)
    divergences = torch.stack([_divergence(counts, int(end), groups) for end in ends])
    return top * (float(ends[int(torch.argmin(divergences))]) / BINS)


def _divergence(counts: Tensor, end: int, groups: int) -> Tensor:
    kept = counts[:end]
    p = kept.clone()
    p[-1] += counts[end:].sum()
    group = torch.arange(end) * groups // end
    filled = (kept > 0).double()
    mass = torch.zeros(groups, dtype=torch.float64).index_add_(0, group, kept)
    places = torch.zeros(groups, dtype=torch.float64).index_add_(0, group, filled)
    q = (mass / places.clamp_min(1))[group] * filled
    p, q = p / p.sum(), q / q.sum().clamp_min(1e-30)
    inside = p > 0
    return (p[inside] * (p[inside] / q[inside].clamp_min(1e-12)).log()).sum()
