"""The clipping limit of least divergence between a histogram and its quantized form."""

from __future__ import annotations

import numpy as np
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
    counts = torch.histc(magnitude, BINS, 0.0, float(top)).double().cpu().numpy()
    counts[0] = counts[1]  # zeros are exact at every limit; after a ReLU they would outweigh all else
    ends = range(groups, BINS + 1, STRIDE)
    divergences = [_divergence(counts, end, groups) for end in ends]
    return top * (ends[int(np.argmin(divergences))] / BINS)


def _divergence(counts: np.ndarray, end: int, groups: int) -> float:
    kept, firsts = counts[:end], -(-np.arange(groups) * end // groups)  # bin i is in group i * groups // end
    p, filled = kept.copy(), (kept > 0).astype(np.float64)
    p[-1] += counts[end:].sum()
    mean = np.add.reduceat(kept, firsts) / np.maximum(np.add.reduceat(filled, firsts), 1)
    q = np.repeat(mean, np.diff(firsts, append=end)) * filled
    p, q = p / p.sum(), np.maximum(q / max(q.sum(), 1e-30), 1e-12)
    inside = p > 0
    return float((p[inside] * np.log(p[inside] / q[inside])).sum())
