"""Start a job from the trained state of another run of the same network: lower bits, other ends, more epochs."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from .._core.errors import RecipeError

ORIGINAL = ".parametrizations.weight.original"  # a quantized layer's float weight


def start_from(module: nn.Module, folder: str | Path) -> list[str]:
    """Load weights, batch-norms and the quantizers that both runs have from `folder/checkpoint.pt` into `module`.

    A layer's float weight is taken whether the layer is quantized in either run or not. Returns: names of the quantizer
    tensors that the other run did not have (they keep their calibrated start).
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
    return missing


def _plain(name: str) -> str:
    return name.replace(ORIGINAL, ".weight")


def _is_quantizer(name: str) -> bool:
    return name.startswith("slots.") or ".quantizer." in name


def _fits(value: object, own: object) -> bool:
    if not isinstance(value, Tensor) or not isinstance(own, Tensor):
        return type(value) is type(own)
    return value.shape == own.shape
