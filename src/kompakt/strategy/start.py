"""Start a job from the trained state of another run of the same network: lower bits, other ends, more epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .._core.errors import RecipeError
from ..quant import WeightSlot

ORIGINAL = ".parametrizations.weight.original"  # a quantized layer's float weight


def start_from(module: nn.Module, folder: str | Path) -> list[str]:
    """Load weights, batch-norms and the quantizers that both runs have from `folder/checkpoint.pt` into `module`.

    A layer's float weight is taken whether the layer is quantized in either run or not. A weight quantizer that the
    other run did not have, or not in this form, is fitted to the weights that came; one of activations keeps its
    calibrated start. Returns: names of the quantizer tensors that the other run did not have.
    Raises: RecipeError if the checkpoint is missing, or does not hold every weight of the network in its shape.
    """
    path = Path(folder) / "checkpoint.pt"
    if not path.is_file():
        raise RecipeError(f"model.start: no checkpoint at {path}; expected the folder of a finished run")
    found = {_plain(name): value for name, value in torch.load(path, weights_only=True)["module"].items()}
    own = module.state_dict()
    fitting = {name: found[_plain(name)] for name in own if _fits(found.get(_plain(name)), own[name])}
    missing = [name for name in own if name not in fitting]
    foreign = [_plain(name) for name in missing if not _is_quantizer(name)]
    if foreign:
        raise RecipeError(
            f"model.start: {path} does not fit this network: {foreign[0]} is missing or has another shape"
        )
    module.load_state_dict(fitting, strict=False)
    _fit_new_quantizers(module, missing)
    return missing


def _fit_new_quantizers(module: nn.Module, missing: list[str]) -> None:
    for name, slot in module.named_modules():
        if isinstance(slot, WeightSlot) and any(key.startswith(f"{name}.") for key in missing):
            weights: Any = module.get_submodule(name.rpartition(".")[0])
            slot.quantizer.fit(weights.original.detach())


def _plain(name: str) -> str:
    return name.replace(ORIGINAL, ".weight")


def _is_quantizer(name: str) -> bool:
    return name.startswith("slots.") or ".quantizer." in name


def _fits(value: object, own: object) -> bool:
    if not isinstance(value, Tensor) or not isinstance(own, Tensor):
        return type(value) is type(own)
    return value.shape == own.shape
