"""Inputs and outputs of a layer as rows, one per position, so that a layer of any kind is a matrix product."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..graph import Parts

ROWS = 16_000  # positions that a layer's errors are counted at; it has at most some thousand inputs
CHUNK = 16  # images


def input_rows(layer: Any, x: Parts, count: int) -> list[Tensor]:
    """Per group, the inputs of an output channel at about `count` positions: (positions, I / groups · KH · KW) each."""
    groups = getattr(layer, "groups", 1)
    stride = _stride(sum(_positions(_covered(layer, part[:1])) * len(part) for part in x.values), count)
    rows = torch.cat([_some(_covered(layer, part), stride) for part in x.values])
    return list(rows.reshape(len(rows), groups, -1).unbind(1))


def output_rows(y: Parts, count: int) -> Tensor:
    """Outputs (N, C), (N, T, C) or (N, C, H, W) at the positions of `input_rows` of the same images: (positions, C)."""
    stride = _stride(sum(_positions(part[:1]) * len(part) for part in y.values), count)
    return torch.cat([_some(part, stride) for part in y.values])


def _covered(layer: Any, x: Tensor) -> Tensor:
    """What a convolution's kernel covers, (n, C, OH, OW, KH, KW), a view; inputs of another layer as they are."""
    if x.dim() != 4:
        return x
    padded = F.pad(x, (layer.padding[1], layer.padding[1], layer.padding[0], layer.padding[0]))
    return _windows(_windows(padded, 2, layer), 3, layer)


def _positions(x: Tensor) -> int:
    """Positions of one sample: all its values but channels, and what a kernel covers."""
    return prod(x.shape[2:4]) if x.dim() >= 4 else prod(x.shape[1:-1])


def _windows(x: Tensor, axis: int, layer: Any) -> Tensor:
    """The positions of a kernel along `axis`, with what it covers there as a new last axis."""
    size, apart, stride = (getattr(layer, key)[axis - 2] for key in ("kernel_size", "dilation", "stride"))
    return x.unfold(axis, apart * (size - 1) + 1, stride)[..., ::apart]


def _some(y: Tensor, stride: int) -> Tensor:
    """Every k-th position, beginning anew every `CHUNK` images of (n, C, H, W, ..): (p, C, ..)."""
    if y.dim() < 4:
        return y.reshape(-1, y.shape[-1])[::stride]
    images, _, height, width = y.shape[:4]
    size, chunk = images * height * width, CHUNK * height * width
    starts = range(0, size, chunk)
    chosen = torch.cat([torch.arange(start, min(start + chunk, size), stride) for start in starts])
    image, place = chosen // (height * width), chosen % (height * width)
    return y[image, :, place // width, place % width]


def _stride(positions: int, count: int) -> int:
    """Odd, so that no row or column of the images is favoured."""
    return max(1, positions // count) | 1
