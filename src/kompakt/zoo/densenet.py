"""A small DenseNet-BC (Huang et al., CVPR 2017) for CIFAR: every layer reads all layers of its block before it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = 3
BOTTLENECK = 4  # channels between the 1x1 and the 3x3 convolution, in units of the growth


class DenseLayer(nn.Module):
    """BN-ReLU-1x1, BN-ReLU-3x3, then its `growth` channels behind those that came in."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, BOTTLENECK * growth, 1, bias=False),
            nn.BatchNorm2d(BOTTLENECK * growth), nn.ReLU(),
            nn.Conv2d(BOTTLENECK * growth, growth, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.body(x)), 1)


class DenseNetCifar(nn.Module):
    """(N, 3, 32, 32) -> (N, classes) logits.

    Args:
        layers: dense layers per block; 6 with growth 12 is DenseNet-BC-40.
        growth: channels that each adds. Between blocks a 1x1 convolution halves the channels.
    """

    def __init__(self, layers: int = 6, growth: int = 12, classes: int = 10) -> None:
        super().__init__()
        width = 2 * growth
        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        parts: list[nn.Module] = []
        for block in range(BLOCKS):
            parts += [DenseLayer(width + i * growth, growth) for i in range(layers)]
            width += layers * growth
            if block < BLOCKS - 1:
                parts += _transition(width, width // 2)
                width //= 2
        self.blocks = nn.Sequential(*parts, nn.BatchNorm2d(width), nn.ReLU())
        self.linear = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        logits: Tensor = self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def _transition(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.AvgPool2d(2)]
