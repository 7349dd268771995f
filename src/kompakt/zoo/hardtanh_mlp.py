"""A fully connected network with batch-norm and hard tanh: the one that binarized networks were first shown on."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class HardtanhMlp(nn.Module):
    """(N, ...) with widths[0] values each -> (N, widths[-1]); linear, batch-norm, hard tanh; at the end no hard tanh.

    Source: Courbariaux et al., "Binarized Neural Networks", arXiv 1602.02830 (784-3x4096-10).
    """

    def __init__(self, *widths: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.Hardtanh()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y
