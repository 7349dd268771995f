"""SqueezeNet 1.0 (Iandola et al., 2016) with average pooling behind the last activation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 convolutions side by side; `2 * expand` channels."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat((F.relu(self.expand1(x)), F.relu(self.expand3(x))), 1)


class SqueezeNet(nn.Module):
    """(N, 3, 227, 227) -> (N, classes) logits.

    Pools round sizes down; at 227 that is the same as rounding up, as the published network does.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 7, 2)
        self.fire2, self.fire3, self.fire4 = Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128)
        self.fire5, self.fire6 = Fire(256, 32, 128), Fire(256, 48, 192)
        self.fire7, self.fire8 = Fire(384, 48, 192), Fire(384, 64, 256)
        self.fire9 = Fire(512, 64, 256)
        self.conv_final = nn.Conv2d(512, classes, 1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2)
        x = F.max_pool2d(self.fire4(self.fire3(self.fire2(x))), 3, 2)
        x = F.max_pool2d(self.fire8(self.fire7(self.fire6(self.fire5(x)))), 3, 2)
        x = F.relu(self.conv_final(self.fire9(x)))
        return F.adaptive_avg_pool2d(x, 1).flatten(1)
