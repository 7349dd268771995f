"""The CIFAR residual networks of He et al. (2016), section 4.2: 6n+2 layers, widths 16, 32, 64."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn

from .._core.errors import GraphError


@dataclass(frozen=True)
class Variant:
    """How a network differs from the published one: by another activation, or by what pruning took away.

    Attributes:
        activation: "relu" or "relu6".
        inner: block such as "layer1.0" to the channels between its convolutions, where they are not its outputs.
        removed: block to the convolutions that it lacks, "conv1" and "conv2".
    """

    activation: str = "relu"
    inner: Mapping[str, int] = field(default_factory=dict)
    removed: Mapping[str, Collection[str]] = field(default_factory=dict)


AS_PUBLISHED = Variant()
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "relu6": F.relu6}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut.

    The shortcut is the identity; where the shape changes it is option A (every second pixel, zero channels on both
    sides) or, with `projection`, a strided 1x1 convolution with batch-norm (option B).

    Args:
        name: of the block, to look it up in `variant`.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, projection: bool, name: str = "", variant: Variant = AS_PUBLISHED
    ) -> None:
        super().__init__()
        inner, removed = variant.inner.get(name, outputs), variant.removed.get(name, ())
        self.act = ACTIVATIONS[variant.activation]
        self.has_first, self.has_second = "conv1" not in removed, "conv2" not in removed
        if self.has_first:
            self.conv1 = nn.Conv2d(inputs, inner, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(inner)
        if self.has_second:
            self.conv2 = nn.Conv2d(inner, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, outputs - inputs
        self.shortcut = nn.Sequential()
        if projection and (stride != 1 or self.extra):
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv1(x))) if self.has_first else x
        y = self.bn2(self.conv2(y)) if self.has_second else y
        if len(self.shortcut):
            x = self.shortcut(x)
        elif self.stride != 1 or self.extra:
            x = F.pad(
                x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2)
            )
        return self.act(y + x)


class ResNetCifar(nn.Module):
    """(N, 3, 32, 32) -> (N, classes) logits.

    Args:
        depth: 6n+2: 20, 32, 44, 56, 110.
        projection: whether shortcuts that change shape are convolutions (see `BasicBlock`).
        variant: of another activation, or pruned.
    Raises: GraphError for another depth.
    """

    def __init__(
        self, depth: int = 20, classes: int = 10, projection: bool = False, variant: Variant = AS_PUBLISHED
    ) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise GraphError(f"depth must be 6n+2 (20, 32, 44, ...), got {depth}")
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.act, blocks = ACTIVATIONS[variant.activation], (depth - 2) // 6
        self.layer1 = residual_stage(16, 16, 1, blocks, projection, "layer1", variant)
        self.layer2 = residual_stage(16, 32, 2, blocks, projection, "layer2", variant)
        self.layer3 = residual_stage(32, 64, 2, blocks, projection, "layer3", variant)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def residual_stage(
    inputs: int, outputs: int, stride: int, blocks: int, projection: bool, name: str = "",
    variant: Variant = AS_PUBLISHED,
) -> nn.Sequential:  # fmt: skip
    """`blocks` blocks called `name`.0, `name`.1, .., the first of which changes width and size."""
    widths = [(inputs, stride)] + [(outputs, 1)] * (blocks - 1)
    return nn.Sequential(
        *(BasicBlock(i, outputs, s, projection, f"{name}.{b}", variant) for b, (i, s) in enumerate(widths))
    )
