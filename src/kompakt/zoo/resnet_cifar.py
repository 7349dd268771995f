"""The CIFAR residual networks of He et al. (2016), section 4.2: 6n+2 layers, widths 16, 32, 64."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .._core.errors import GraphError


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut.

    The shortcut is the identity; where the shape changes it is option A (every second pixel, zero channels on both
    sides) or, with `projection`, a strided 1x1 convolution with batch-norm (option B).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, projection: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, outputs - inputs
        self.shortcut = nn.Sequential()
        if projection and (stride != 1 or self.extra):
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if len(self.shortcut):
            x = self.shortcut(x)
        elif self.stride != 1 or self.extra:
            x = F.pad(
                x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2)
            )
        return F.relu(y + x)


class ResNetCifar(nn.Module):
    """(N, 3, 32, 32) -> (N, classes) logits.

    Args:
        depth: 6n+2: 20, 32, 44, 56, 110.
        projection: whether shortcuts that change shape are convolutions (see `BasicBlock`).
    Raises: GraphError for another depth.
    """

    def __init__(self, depth: int = 20, classes: int = 10, projection: bool = False) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise GraphError(f"depth must be 6n+2 (20, 32, 44, ...), got {depth}")
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks = (depth - 2) // 6
        self.layer1 = residual_stage(16, 16, 1, blocks, projection)
        self.layer2 = residual_stage(16, 32, 2, blocks, projection)
        self.layer3 = residual_stage(32, 64, 2, blocks, projection)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def residual_stage(inputs: int, outputs: int, stride: int, blocks: int, projection: bool) -> nn.Sequential:
    """`blocks` blocks, the first of which changes width and size."""
    first = BasicBlock(inputs, outputs, stride, projection)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1, projection) for _ in range(blocks - 1)))
