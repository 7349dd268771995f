"""Small networks for handwritten digits: LeNet-5 with tanh, and a multi-layer perceptron with batch-norm."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class LeNet5(nn.Module):
    """(N, 1, 32, 32) -> (N, classes) logits; LeCun et al. (1998), with plain average pools and full connections."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(self.conv1(x).tanh(), 2)
        x = F.avg_pool2d(self.conv2(x).tanh(), 2).flatten(1)
        logits: Tensor = self.fc3(self.fc2(self.fc1(x).tanh()).tanh())
        return logits


class PerceptronMnist(nn.Module):
    """(N, 1, 28, 28) -> (N, widths[-1]) logits: `fc1`, `bn1`, ReLU, .., and a last layer with a bias."""

    def __init__(self, widths: Sequence[int] = (784, 300, 301, 302, 303, 10)) -> None:
        super().__init__()
        self.depth = len(widths) - 1
        for i, (inputs, outputs) in enumerate(pairwise(widths), 1):
            is_last = i == self.depth
            self.add_module(f"fc{i}", nn.Linear(inputs, outputs, bias=is_last))
            if not is_last:
                self.add_module(f"bn{i}", nn.BatchNorm1d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for i in range(1, self.depth):
            x = F.relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"fc{i}")(x)))
        logits: Tensor = self.get_submodule(f"fc{self.depth}")(x)
        return logits
