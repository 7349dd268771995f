"""Networks of fully connected layers: LeNet-300-100, and single layers of the size of a large classifier."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class FullyConnected(nn.Module):
    """(N, widths[0]) -> (N, widths[-1]); ReLU between layers."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y
