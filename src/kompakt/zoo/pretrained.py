"""Pretrained networks by name: a folder with `card.json` and `weights.safetensors`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .._core.errors import DataError
from ..data import card as read_card
from ..data import pretrained_folder
from .mnist_nets import LeNet5, PerceptronMnist
from .recurrent import CharacterLstm
from .resnet8 import ResNet8, numbered_weights
from .resnet_cifar import ACTIVATIONS, ResNetCifar, Variant
from .squeezenet import SqueezeNet


@dataclass(frozen=True)
class Pretrained:
    """A trained network, its input shape (C, H, W), None where the data decide, its card, bytes of its weights file."""

    module: nn.Module
    input_shape: tuple[int, ...] | None
    card: dict[str, Any]
    file_bytes: int


def load(name: str) -> Pretrained:
    """Load `models/<name>`, e.g. `cifar10-resnet20`, into the stock architecture of its card.

    Raises: DataError if the folder is missing, the family has no stock architecture, or tensors do not fit.
    """
    path, card = pretrained_folder(name) / "weights.safetensors", read_card(name)
    try:
        module = _architecture(card, weights := load_file(path))
        shape = tuple(card["input"]["shape"]) if "shape" in card["input"] else None
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    except (KeyError, IndexError, ValueError, TypeError, OSError, SafetensorError) as error:
        raise DataError(
            f"{path.parent}: card or weights are not as expected ({type(error).__name__}: {error})"
        ) from error
    _fill(module, weights, name)
    return Pretrained(module.eval(), shape, card, path.stat().st_size)


def _architecture(card: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    architecture, family = card["architecture"], card["architecture"]["family"]
    if family not in FAMILIES or "input_quant" in architecture or "quantizer" in card:
        hint = "; `kompakt import` makes a file of it" if "input_quant" in architecture else ""
        hint = "; its weights belong to its quantizers: name it as model.start" if "quantizer" in card else hint
        raise DataError(f"no stock architecture for family {family!r}; build it and load the weights{hint}")
    return FAMILIES[family](architecture, weights)


def _resnet_cifar(architecture: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    activation = architecture.get("activation", "relu")
    if activation not in ACTIVATIONS:
        raise DataError(f"its activation is {activation}, the stock architecture has {', '.join(ACTIVATIONS)}")
    found = re.compile(r"(layer\d\.\d+)\.conv1\.weight")
    inner = {match[1]: len(value) for key, value in weights.items() if (match := found.fullmatch(key))}
    variant = Variant(activation, inner, architecture.get("removed", {}))
    has_projection = any("shortcut" in key for key in weights)
    return ResNetCifar(architecture["depth"], len(weights["linear.bias"]), has_projection, variant)


def _perceptron(architecture: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    layers = [weights[f"fc{i + 1}.weight"] for i in range(len(architecture["layers"]))]
    return PerceptronMnist([layers[0].shape[1], *(len(layer) for layer in layers)])


def _character_lstm(architecture: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    depth = sum(key.startswith("lstm.weight_hh_l") for key in weights)
    for layer in range(depth):  # stored with one bias per gate; PyTorch adds two
        weights.setdefault(f"lstm.bias_hh_l{layer}", torch.zeros_like(weights[f"lstm.bias_ih_l{layer}"]))
    return CharacterLstm(len(weights["decoder.bias"]), weights["decoder.weight"].shape[1], depth)


def _graph(architecture: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    """The one float network that is stored as a list of operations."""
    named = numbered_weights(weights)
    weights.clear()
    weights.update(named)
    return ResNet8(len(named["linear.bias"]))


FAMILIES: dict[str, Callable[[dict[str, Any], dict[str, Tensor]], nn.Module]] = {
    "resnet-cifar": _resnet_cifar,
    "graph": _graph,
    "squeezenet-1.0": lambda architecture, weights: SqueezeNet(len(weights["conv_final.bias"])),
    "lenet5": lambda architecture, weights: LeNet5(len(weights["fc3.bias"])),
    "mlp": _perceptron,
    "lstm-lm": _character_lstm,
}
"""Family of a card to its stock architecture, made for the shapes of the stored tensors, which it may rename."""


def _fill(module: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    try:
        missing, unexpected = module.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise DataError(f"{name}: stored tensors do not fit the stock architecture: {error}") from error
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise DataError(f"{name}: tensors missing {missing[:3]}, not known {unexpected[:3]}")
    for tensor in module.state_dict().values():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise DataError(f"{name}: weights hold NaN or Inf")
