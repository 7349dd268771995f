"""Networks by name, for measurements of speed and size: stock architectures with random, repeatable weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .block_diagonal import BlockDiagonal
from .densenet import DenseNetCifar
from .fully_connected import FullyConnected
from .hardtanh_mlp import HardtanhMlp
from .inception import InceptionCifar
from .mobilenet_v2 import MobileNetV2
from .recurrent import LstmClassifier, WordModel
from .resnet import ResNet18
from .resnet_cifar import ResNetCifar
from .resnet_maxout import ResNetMaxout
from .vgg_small import VggSmall
from .vision_transformer import VisionTransformer

SEED = 20_181_112
STATISTICS_IMAGES = 16  # whose means and variances the batch-norms take
CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)


@dataclass(frozen=True)
class Net:
    """A stock architecture.

    Attributes:
        build: makes the module, with PyTorch's random start.
        input_shape: of one input.
        end_bits: bit-width of its first and last layer where the others have fewer; None: like the others.
        tokens: inputs are whole numbers below this; 0: any numbers.
    """

    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    end_bits: int | None = 8
    tokens: int = 0


NETS: dict[str, Net] = {
    "resnet20": Net(lambda: ResNetCifar(20), CIFAR),
    "resnet20_maxout": Net(lambda: ResNetMaxout(20), CIFAR),
    "resnet56": Net(lambda: ResNetCifar(56), CIFAR),
    "vgg_small": Net(VggSmall, CIFAR),
    "densenet40": Net(DenseNetCifar, CIFAR),
    "inception": Net(InceptionCifar, CIFAR),
    "lstm": Net(LstmClassifier, (128, 32, 1)),
    "ptb_lstm": Net(lambda: WordModel("lstm"), (64,), tokens=10_000),
    "ptb_gru": Net(lambda: WordModel("gru"), (64,), tokens=10_000),
    "resnet18": Net(ResNet18, IMAGENET),
    "mobilenet_v2": Net(MobileNetV2, IMAGENET),
    "vit_tiny": Net(VisionTransformer, IMAGENET),
    "vit_cifar": Net(lambda: VisionTransformer(32, 4, 96, 4, 3, 10), CIFAR),
    "lenet_300_100": Net(lambda: FullyConnected(784, 300, 100, 10), (784,), None),
    "hardtanh_mlp_1024": Net(lambda: HardtanhMlp(784, 1024, 1024, 1024, 10), (1, 28, 28), None),
    "linear_4096": Net(lambda: FullyConnected(4096, 4096), (4096,), None),
    "linear_9216": Net(lambda: FullyConnected(9216, 4096), (9216,), None),
    "block_diagonal_8": Net(lambda: BlockDiagonal(4096, 4096, 8), (4096,), None),
    "block_diagonal_16": Net(lambda: BlockDiagonal(4096, 4096, 16), (4096,), None),
}


def build(name: str) -> nn.Module:
    """The network `name` of `NETS` in evaluation mode: the same weights at every call.

    Its batch-norms hold the statistics of noise that went through it, so that values in the network have the sizes that
    they have in a trained one; random weights behind fresh batch-norms would fade or explode with depth.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        module = NETS[name].build()
    return with_statistics(module, noise(NETS[name].input_shape, STATISTICS_IMAGES))


def noise(shape: tuple[int, ...], count: int, seed: int = SEED, tokens: int = 0) -> np.ndarray:
    """`count` repeatable inputs, float32 (count, *shape), normally distributed like normalised images.

    With `tokens`, whole numbers below it, all equally likely.
    """
    generator = np.random.default_rng(seed)
    if tokens:
        return generator.integers(tokens, size=(count, *shape)).astype(np.float32)
    return generator.standard_normal((count, *shape), np.float32)


@torch.no_grad()
def with_statistics(module: nn.Module, inputs: np.ndarray) -> nn.Module:
    """The module in evaluation mode, its batch-norms holding means and variances of `inputs` (N, ...)."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    if norms:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # running statistics are then plain averages over all batches: here, of one
        module.train()(torch.from_numpy(inputs))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return module.eval()
