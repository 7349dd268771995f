"""The ResNet-8 of MLPerf Tiny (Banbury et al., 2021), batch-norm folded, on pixel values 0..255."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = ("conv1", *(f"block{i}.{name}" for i in (1, 2, 3) for name in ("conv1", "conv2", "shortcut")), "linear")


class Block(nn.Module):
    """Two 3x3 convolutions around an identity, or a strided 1x1 convolution where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        is_wider = outputs != inputs
        # A strided window starts at the first pixel and ends outside the last ("same" padding where the network comes
        # from): that is a 4x4 window with a first row and column of zeros, and padding on both sides.
        self.conv1 = nn.Conv2d(inputs, outputs, 4, 2, 1) if is_wider else nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, 2) if is_wider else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))


class ResNet8(nn.Module):
    """(N, 3, 32, 32) -> (N, classes) logits."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1)
        self.block1, self.block2, self.block3 = Block(16, 16), Block(16, 32), Block(32, 64)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block3(self.block2(self.block1(F.relu(self.conv1(x)))))
        logits: Tensor = self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def numbered_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that are stored by the number of the layer ("00.weight"), under the names of `ResNet8`.

    3x3 kernels of strided convolutions get their row and column of zeros.
    """
    names = [name for name in LAYERS if name != "block1.shortcut"]
    named = {f"{names[int(key[:2])]}{key[2:]}": value for key, value in weights.items()}
    for name in ("block2.conv1.weight", "block3.conv1.weight"):
        named[name] = F.pad(named[name], (1, 0, 1, 0))
    return named
