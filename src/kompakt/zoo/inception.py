"""A small network of inception blocks (Szegedy et al., CVPR 2015, figure 2b), with batch-norm, for CIFAR."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM = 64


class Inception(nn.Module):
    """Four branches side by side: 1x1; 1x1 then 3x3; 1x1 then 5x5; 3x3 max-pool then 1x1. `4 * width` channels."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.one = _convolution(inputs, width, 1)
        self.three = nn.Sequential(_convolution(inputs, width, 1), _convolution(width, 2 * width, 3))
        self.five = nn.Sequential(_convolution(inputs, width // 2, 1), _convolution(width // 2, width // 2, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), _convolution(inputs, width // 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.one(x), self.three(x), self.five(x), self.pool(x)), 1)


class InceptionCifar(nn.Module):
    """(N, 3, 32, 32) -> (N, classes) logits: a stem and five inception blocks in three sizes."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _convolution(3, STEM, 3),
            Inception(64, 32), Inception(128, 32), nn.MaxPool2d(3, 2, 1),
            Inception(128, 48), Inception(192, 48), nn.MaxPool2d(3, 2, 1),
            Inception(192, 64),
        )  # fmt: skip
        self.linear = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))
        return logits


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
