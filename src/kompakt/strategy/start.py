"""Start a job from a trained state: of another run of the same network, or of somebody else's quantized network."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .._core.errors import RecipeError
from ..graph import Graph
from ..quant import WeightSlot
from ..quant.attach import calibrate
from ..zoo import load_quantized
from .trained_elsewhere import check_against, parameters_by_name, weights_by_name

ORIGINAL = ".parametrizations.weight.original"  # a quantized layer's float weight
COUNTER = "num_batches_tracked"


def start_from(graph: Graph, source: str, batch: Tensor, model: nn.Module) -> list[str]:
    """Load weights, batch-norms and the quantizers that both have from `source` into the graph's module.

    A layer's float weight is taken whether the layer is quantized in either or not. Quantizers that the source does not
    have, or not in this form, are fitted behind what came: of weights to them, of activations to `batch` (N, ...).

    Args:
        graph: of `model`, with quantizers.
        source: folder of a finished run, or `zoo:NAME`, a pretrained network whose card describes its quantizers.
    Returns: names of the quantizer tensors that the source did not have.
    Raises: RecipeError if the source is missing, does not hold every weight of the network in its shape, or its
        quantizers give other numbers here.
    """
    module, other = graph.module, None
    if source.startswith("zoo:"):
        other = load_quantized(source.removeprefix("zoo:"))
        weights = weights_by_name(model, graph.example, other)
        found: dict[str, Any] = weights | parameters_by_name(graph, other)
    else:
        found = _checkpoint(Path(source))
    own = module.state_dict()
    fitting = {name: found[_plain(name)] for name in own if _fits(found.get(_plain(name)), own[name])}
    missing = [name for name in own if name not in fitting and not name.endswith(COUNTER)]
    foreign = [_plain(name) for name in missing if not _is_quantizer(name)]
    if foreign:
        raise RecipeError(
            f"model.start: {source} does not fit this network: {foreign[0]} is missing or has another shape"
        )
    module.load_state_dict(fitting, strict=False)
    # What somebody else's quantizer has no word for (a gradient's scale) keeps its start.
    known = {_owner(name) for name in fitting if _is_quantizer(name)} if other else set()
    _fit_new_quantizers(graph, {_owner(name) for name in missing} - known, batch)
    if other:
        check_against(graph, other)
    return missing


def _checkpoint(folder: Path) -> dict[str, Any]:
    path = folder / "checkpoint.pt"
    if not path.is_file():
        raise RecipeError(f"model.start: no checkpoint at {path}; expected the folder of a finished run, or zoo:NAME")
    return {_plain(name): value for name, value in torch.load(path, weights_only=True)["module"].items()}


def _fit_new_quantizers(graph: Graph, new: Collection[str], batch: Tensor) -> None:
    for name, slot in graph.module.named_modules():
        if isinstance(slot, WeightSlot) and name in new:
            weights: Any = graph.module.get_submodule(name.rpartition(".")[0])
            slot.quantizer.fit(weights.original.detach())
    activations = {name for name in new if name.startswith("slots.")}
    if activations:
        calibrate(graph, batch, activations)


def _owner(name: str) -> str:
    """The slot that a quantizer's tensor belongs to."""
    return name.partition(".quantizer.")[0]


def _plain(name: str) -> str:
    return name.replace(ORIGINAL, ".weight")


def _is_quantizer(name: str) -> bool:
    return name.startswith("slots.") or ".quantizer." in name


def _fits(value: object, own: object) -> bool:
    if not isinstance(value, Tensor) or not isinstance(own, Tensor):
        return type(value) is type(own)
    return value.shape == own.shape
