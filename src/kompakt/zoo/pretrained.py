"""Pretrained networks by name: a folder with `card.json` and `weights.safetensors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .._core.errors import DataError
from ..data import card as read_card
from ..data import pretrained_folder
from .resnet_cifar import ResNetCifar


@dataclass(frozen=True)
class Pretrained:
    """A trained network, its input shape (C, H, W), its card, and the bytes of its weights file."""

    module: nn.Module
    input_shape: tuple[int, ...]
    card: dict[str, Any]
    file_bytes: int


def load(name: str) -> Pretrained:
    """Load `models/<name>`, e.g. `cifar10-resnet20`, into the stock architecture of its card.

    Raises: DataError if the folder is missing, the family has no stock architecture, or tensors do not fit.
    """
    path, card = pretrained_folder(name) / "weights.safetensors", read_card(name)
    try:
        module = _architecture(name, card["architecture"], weights := load_file(path))
        shape = tuple(card["input"]["shape"])
    except (KeyError, TypeError, OSError, SafetensorError) as error:
        raise DataError(
            f"{path.parent}: card or weights are not as expected ({type(error).__name__}: {error})"
        ) from error
    _fill(module, weights, name)
    return Pretrained(module.eval(), shape, card, path.stat().st_size)


def _architecture(name: str, architecture: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    family = architecture["family"]
    if family != "resnet-cifar" or "quantizer" in architecture or "quantization" in architecture:
        raise DataError(f"{name}: no stock architecture for family {family!r}; build it and load the weights")
    if architecture.get("activation", "relu") != "relu":
        raise DataError(f"{name}: its activation is {architecture['activation']}, the stock architecture has relu")
    has_projection = any("shortcut" in key for key in weights)
    return ResNetCifar(architecture["depth"], len(weights["linear.bias"]), has_projection)


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
