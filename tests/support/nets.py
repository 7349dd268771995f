"""Small networks of every shape that the library claims to handle, with batch-norm statistics that are not trivial.

`NETS` maps a name to a factory and the input's shape (C, H, W) or (features,).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(inputs: int, outputs: int, kernel: int = 3, **options: int) -> nn.Sequential:
    """Convolution without bias, same size, then batch-norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Classifier(nn.Module):
    """`body`, global average pool, linear layer."""

    def __init__(self, body: nn.Module, channels: int, classes: int = 5) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(F.relu(self.body(x)), 1).flatten(1))


class Residual(nn.Module):
    """Two convolutions and a shortcut: "identity", "projection" (1x1 convolution) or "pad" (option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.first, self.second = conv_bn(inputs, outputs, stride=stride), conv_bn(outputs, outputs)
        self.projection = conv_bn(inputs, outputs, 1, stride=stride) if shortcut == "projection" else None
        self.stride, self.extra, self.is_identity = stride, outputs - inputs, shortcut == "identity"

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(x)))
        if self.projection is not None:
            x = self.projection(x)
        elif not self.is_identity:
            before = self.extra // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.extra - before))
        return F.relu(y + x)


def _residual(shortcut: str) -> nn.Module:
    outputs, stride = (8, 1) if shortcut == "identity" else (13, 2)
    stem = nn.Sequential(conv_bn(3, 8), nn.ReLU())
    return Classifier(
        nn.Sequential(stem, Residual(8, outputs, stride, shortcut), Residual(outputs, outputs, 1, "identity")), outputs
    )


class Dense(nn.Module):
    """DenseNet-like: every layer reads the concatenation of all before it; batch-norm and ReLU come first."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(6 + 4 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(6 + 4 * i, 4, 3, padding=1, bias=False) for i in range(3))

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        return torch.cat(features, dim=1)


class Inception(nn.Module):
    """Branches 1x1, 3x3, 5x5 and pool, each ending in a ReLU, then concatenation."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.one, self.pooled = conv_bn(inputs, 4, 1), conv_bn(inputs, 3, 1)
        self.three = nn.Sequential(conv_bn(inputs, 3, 1), nn.ReLU(), conv_bn(3, 5))
        self.five = nn.Sequential(conv_bn(inputs, 2, 1), nn.ReLU(), conv_bn(2, 4, 5))

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.one(x), self.three(x), self.five(x), self.pooled(F.max_pool2d(x, 3, stride=1, padding=1))]
        return torch.cat([F.relu(branch) for branch in branches], dim=1)


def _inception() -> nn.Module:
    stem = nn.Sequential(conv_bn(3, 6), nn.ReLU())
    return Classifier(nn.Sequential(stem, Inception(6), nn.MaxPool2d(2), Inception(16)), 16)


def _depthwise() -> nn.Module:
    pieces: list[nn.Module] = [conv_bn(3, 8, stride=2), nn.ReLU6()]
    for stride in (1, 2):
        pieces += [conv_bn(8, 8, stride=stride, groups=8), nn.ReLU6(), conv_bn(8, 8, 1), nn.ReLU6()]
    return Classifier(nn.Sequential(*pieces), 8)


def _pools() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2, padding=1),
        nn.Conv2d(8, 9, 3, padding=1), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(),
        nn.Linear(81, 12), nn.ReLU(), nn.Linear(12, 5),
    )  # fmt: skip


def _bn_before_conv() -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(8), nn.Linear(8, 5),
    )  # fmt: skip


def _signed() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 8), nn.Hardtanh(), conv_bn(8, 8), conv_bn(8, 6, 1), nn.Hardtanh(-1.5, 2.0), nn.AvgPool2d(4),
        nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip


def _grouped() -> nn.Module:
    return Classifier(
        nn.Sequential(conv_bn(3, 12), nn.ReLU(), conv_bn(12, 16, groups=4, stride=2), nn.ReLU(),
                      nn.Conv2d(16, 8, 3, padding=2, dilation=2, groups=2)), 8,
    )  # fmt: skip


def _linear() -> nn.Module:
    return nn.Sequential(
        nn.Linear(20, 33), nn.BatchNorm1d(33), nn.ReLU(), nn.Linear(33, 17, bias=False), nn.ReLU(), nn.Linear(17, 5)
    )


Factory = Callable[[], nn.Module]
IMAGE = (3, 8, 8)
NETS: dict[str, tuple[Factory, tuple[int, ...]]] = {
    "identity": (lambda: _residual("identity"), IMAGE),
    "projection": (lambda: _residual("projection"), IMAGE),
    "pad": (lambda: _residual("pad"), IMAGE),
    "dense": (lambda: Classifier(Dense(), 18), IMAGE),
    "inception": (_inception, IMAGE),
    "depthwise": (_depthwise, IMAGE),
    "grouped": (_grouped, IMAGE),
    "pools": (_pools, IMAGE),
    "bn_before_conv": (_bn_before_conv, IMAGE),
    "signed": (_signed, IMAGE),
    "linear": (_linear, (20,)),
}


def build(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A net with random weights and batch-norm statistics (some multipliers negative, one zero), and random inputs."""
    factory, shape = NETS[name]
    torch.manual_seed(seed)
    net = factory().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            scramble(module)
    return net, torch.randn(4, *shape)


@torch.no_grad()
def scramble(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Random statistics; about every fourth channel is reversed, and channel 1 is constant."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_(0, 0.3)
    norm.running_var.uniform_(0.3, 2)
    norm.weight.uniform_(0.5, 1.5)
    norm.weight[torch.rand(len(norm.weight)) < 0.25] *= -1
    norm.weight[1] = 0
    norm.bias.normal_(0, 0.3)
