"""The CIFAR residual network that binary values like: a step around every convolution, two slopes per channel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._core.errors import GraphError

START_SLOPE = 0.25  # of negative values, as in nn.PReLU


class Maxout(nn.Module):
    """slope · x + gain · relu(x), per channel: two learned slopes, `slope` below zero and `slope + gain` above.

    The published form, positive · relu(x) - negative · relu(-x), has slope = negative and gain = positive - negative.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.full((channels, 1, 1), START_SLOPE))
        self.gain = nn.Parameter(torch.full((channels, 1, 1), 1 - START_SLOPE))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.slope + F.relu(x) * self.gain


class MaxoutBlock(nn.Module):
    """Two residual steps: each adds its input to a 3x3 convolution with batch-norm, then has a `Maxout`.

    Where the shape changes, the first step's shortcut is every second pixel with zero channels on both sides.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1, self.nonlinear1 = nn.BatchNorm2d(outputs), Maxout(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2, self.nonlinear2 = nn.BatchNorm2d(outputs), Maxout(outputs)
        self.stride, self.extra = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        y, shortcut = self.bn1(self.conv1(x)), x
        if self.stride != 1 or self.extra:
            before = self.extra // 2
            shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.extra - before))
        x = self.nonlinear1(y + shortcut)
        y = self.bn2(self.conv2(x))
        result: Tensor = self.nonlinear2(y + x)
        return result


class ResNetMaxout(nn.Module):
    """(N, 3, 32, 32) -> (N, classes) logits; a batch-norm stands in front of the last layer.

    Args:
        depth: 6n+2: 20, 32, 44, ..
    Raises: GraphError for another depth.
    """

    def __init__(self, depth: int = 20, classes: int = 10) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise GraphError(f"depth must be 6n+2 (20, 32, 44, ...), got {depth}")
        blocks = (depth - 2) // 6
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.nonlinear1 = Maxout(16)
        self.layer1 = _stage(16, 16, 1, blocks)
        self.layer2 = _stage(16, 32, 2, blocks)
        self.layer3 = _stage(32, 64, 2, blocks)
        self.bn2, self.linear = nn.BatchNorm1d(64), nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.nonlinear1(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(self.bn2(F.adaptive_avg_pool2d(x, 1).flatten(1)))
        return logits


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    first = MaxoutBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(MaxoutBlock(outputs, outputs, 1) for _ in range(blocks - 1)))
