"""Inputs and outputs of a layer as rows, one per position, so that a layer of any kind is a matrix product."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS = 16_000  # positions that a layer's errors are counted at; it has at most some thousand inputs
CHUNK = 16  # images


def input_rows(layer: Any, x: Tensor, count: int) -> list[Tensor]:
    """Per group, the inputs of an output channel at about `count` positions: (positions, I / groups · KH · KW) each."""
    groups = getattr(layer, "groups", 1)
    if x.dim() != 4:
        rows = x.reshape(-1, x.shape[-1])
        return list(rows[:: _stride(len(rows), count)].reshape(-1, groups, x.shape[-1] // groups).unbind(1))
    padded = F.pad(x, (layer.padding[1], layer.padding[1], layer.padding[0], layer.padding[0]))
    windows = _windows(_windows(padded, 2, layer), 3, layer)  # (n, C, OH, OW, KH, KW), a view
    rows = _some(windows, count)  # (positions, C, KH, KW)
    return list(rows.reshape(len(rows), groups, -1).unbind(1))


def output_rows(y: Tensor, count: int) -> Tensor:
    """Outputs (N, C), (N, T, C) or (N, C, H, W) at the positions of `input_rows` of the same images: (positions, C)."""
    if y.dim() != 4:
        rows = y.reshape(-1, y.shape[-1])
        return rows[:: _stride(len(rows), count)]
    return _some(y, count)


def _windows(x: Tensor, axis: int, layer: Any) -> Tensor:
    """The positions of a kernel along `axis`, with what it covers there as a new last axis."""
    size, apart, stride = (getattr(layer, key)[axis - 2] for key in ("kernel_size", "dilation", "stride"))
    return x.unfold(axis, apart * (size - 1) + 1, stride)[..., ::apart]


def _some(y: Tensor, count: int) -> Tensor:
    """About `count` positions of (n, C, H, W, ..), every k-th one, beginning anew every `CHUNK` images: (p, C, ..)."""
    images, _, height, width = y.shape[:4]
    size, chunk = images * height * width, CHUNK * height * width
    starts = range(0, size, chunk)
    stride = _stride(size, count)
    chosen = torch.cat([torch.arange(start, min(start + chunk, size), stride) for start in starts])
    image, place = chosen // (height * width), chosen % (height * width)
    return y[image, :, place // width, place % width]


def _stride(positions: int, count: int) -> int:
    """Odd, so that no row or column of the images is favoured."""
    return max(1, positions // count) | 1
