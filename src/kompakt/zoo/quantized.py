"""Networks that others trained with quantizers: their tensors as weights of a stock architecture and parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .._core.errors import DataError
from ..data import card as read_card
from ..data import pretrained_folder

Parameters = dict[str, Tensor]


@dataclass
class Quantized:
    """What a network that was trained with quantizers consists of.

    Attributes:
        weights: tensors of the stock architecture, by name; weights of layers are the float ones that were trained.
        of_weights, of_inputs: layer -> parameters of the rule of its weight's, and of its input's quantizer, (1,) each.
        expected: layer -> what its quantized weight is to be, where the file says so.
        levels: of all inputs, ascending shares of the clip, where the card says so.
    """

    weights: dict[str, Tensor]
    of_weights: dict[str, Parameters] = field(default_factory=dict)
    of_inputs: dict[str, Parameters] = field(default_factory=dict)
    expected: dict[str, Tensor] = field(default_factory=dict)
    levels: tuple[float, ...] = ()


def load_quantized(name: str) -> Quantized:
    """The pretrained network `models/<name>`, whose card describes its quantizers. Raises: DataError."""
    path, card = pretrained_folder(name) / "weights.safetensors", read_card(name)
    quantizer = card.get("quantizer")
    if not isinstance(quantizer, dict):
        raise DataError(f"{name}: its card describes no quantizers; use it as model.source")
    try:
        stored = load_file(path)
        found = Quantized({}, levels=tuple(map(float, quantizer.get("activation_levels", ()))))
        for key, value in stored.items():
            owner, tensor = _split(key)
            TENSORS.get(tensor, _plain)(found, owner, tensor, value)
        if "weight_levels" in quantizer:
            _normalised(found)
    except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise DataError(f"{path.parent}: card or weights are not as expected ({error!r})") from error
    return found


def _split(key: str) -> tuple[str, str]:
    owner, _, tensor = key.replace(".binary_a.", ".").rpartition(".")
    return owner, tensor


def _plain(found: Quantized, owner: str, tensor: str, value: Tensor) -> None:
    found.weights[f"{owner}.{tensor}"] = value


def _of_weight(key: str) -> Callable[[Quantized, str, str, Tensor], None]:
    def take(found: Quantized, owner: str, tensor: str, value: Tensor) -> None:
        found.of_weights.setdefault(owner, {})[key] = value.reshape(1)

    return take


def _of_input(key: str) -> Callable[[Quantized, str, str, Tensor], None]:
    def take(found: Quantized, owner: str, tensor: str, value: Tensor) -> None:
        found.of_inputs.setdefault(owner, {})[key] = value.reshape(1)

    return take


def _expected(found: Quantized, owner: str, tensor: str, value: Tensor) -> None:
    found.expected[owner] = value


def _gain(found: Quantized, owner: str, tensor: str, value: Tensor) -> None:
    """pos · relu(x) - neg · relu(-x) = neg · x + (pos - neg) · relu(x)."""
    by_channel = value.reshape(-1, 1, 1)
    gain = found.weights.get(f"{owner}.gain", torch.zeros_like(by_channel))
    if tensor == "neg_scale":
        found.weights[f"{owner}.slope"] = by_channel
    found.weights[f"{owner}.gain"] = gain + by_channel if tensor == "pos_scale" else gain - by_channel


TENSORS: dict[str, Callable[[Quantized, str, str, Tensor], Any]] = {
    "wgt_alpha": _of_weight("clip"),
    "act_alpha": _of_input("clip"),
    "alpha_a": _of_input("scale"),
    "beta_a": _of_input("center"),
    "weight_q": _expected,
    "pos_scale": _gain,
    "neg_scale": _gain,
}
"""Last part of a stored tensor's name to what it is; any other is one of the architecture."""


def _normalised(found: Quantized) -> None:
    """Weights are divided by their deviation before they meet levels."""
    for layer, parameters in found.of_weights.items():
        weight = found.weights[f"{layer}.weight"]
        mean, deviation = weight.mean().reshape(1), weight.std().reshape(1)
        parameters |= {"mean": mean, "deviation": deviation, "unit": torch.ones(1)}
