"""The 18-layer residual network of He et al. (2016), table 1, for 224x224 images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .resnet_cifar import residual_stage

WIDTHS = (64, 128, 256, 512)


class ResNet18(nn.Module):
    """(N, 3, 224, 224) -> (N, classes) logits; shortcuts that change shape are 1x1 convolutions (option B)."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        inputs = (WIDTHS[0], *WIDTHS[:-1])
        self.stages = nn.Sequential(
            *(residual_stage(i, o, 1 if i == o else 2, 2, True) for i, o in zip(inputs, WIDTHS, strict=True))
        )
        self.linear = nn.Linear(WIDTHS[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        logits: Tensor = self.linear(F.adaptive_avg_pool2d(self.stages(x), 1).flatten(1))
        return logits
