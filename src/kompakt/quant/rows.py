"""Inputs and outputs of a layer as rows, one per position, so that a layer of any kind is a matrix product."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 16  # images at a time; unfolded ones are large


def input_rows(layer: Any, x: Tensor, count: int) -> list[Tensor]:
    """Per group, the inputs of an output channel at about `count` positions: (positions, I / groups · KH · KW) each."""
    groups = getattr(layer, "groups", 1)
    if x.dim() != 4:
        rows = x.reshape(-1, x.shape[-1])
        return list(rows[:: _stride(len(rows), count)].reshape(-1, groups, x.shape[-1] // groups).unbind(1))
    window = (layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    chunks = []
    for images in torch.split(x, CHUNK):
        flat = F.unfold(images, *window)  # (n, C · KH · KW, positions)
        rows = flat.transpose(1, 2).reshape(-1, groups, flat.shape[1] // groups)
        chunks.append(rows[:: _stride(len(x) * flat.shape[2], count)])
    return list(torch.cat(chunks).unbind(1))


def output_rows(y: Tensor, count: int) -> Tensor:
    """Outputs (N, C), (N, T, C) or (N, C, H, W) at the positions of `input_rows` of the same images: (positions, C)."""
    if y.dim() != 4:
        rows = y.reshape(-1, y.shape[-1])
        return rows[:: _stride(len(rows), count)]
    stride = _stride(len(y) * y.shape[2] * y.shape[3], count)
    chunks = [part.flatten(2).transpose(1, 2).reshape(-1, y.shape[1])[::stride] for part in torch.split(y, CHUNK)]
    return torch.cat(chunks)


def _stride(positions: int, count: int) -> int:
    """Odd, so that no row or column of the images is favoured."""
    return max(1, positions // count) | 1
