"""Quantizers that somebody else trained, found again in a graph of ours, and the proof that they mean the same."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from .._core.errors import RecipeError
from ..graph import Graph, operand, trace
from ..quant import ActivationSlot, Quantizer
from ..quant.attach import slot_behind
from ..zoo import Quantized

TOLERANCE = 1e-5  # of the largest level: float32 in another order


def weights_by_name(model: nn.Module, example: Tensor, other: Quantized) -> dict[str, Tensor]:
    """The other network's weights by the names that they have in a graph of `model`.

    Raises: RecipeError where they are not those of the model.
    """
    twin = copy.deepcopy(model)
    try:
        missing, unknown = twin.load_state_dict(other.weights, strict=False)
    except RuntimeError as error:
        raise RecipeError(f"model.start: does not fit this network: {error}") from None
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unknown:
        what = f"{missing[0]} is missing" if missing else f"{unknown[0]} is unknown"
        raise RecipeError(f"model.start: does not fit this network: {what}")
    return dict(trace(twin, example).module.state_dict())


def parameters_by_name(graph: Graph, other: Quantized) -> dict[str, Tensor]:
    """The parameters of the other network's quantizers by the names that they have in `graph`.

    Layers that are not quantized here are left out. Raises: RecipeError where two layers would share one quantizer.
    """
    names = {module: name for name, module in graph.module.named_modules()}
    found: dict[str, Tensor] = {}
    for node in graph.layers():
        layer = str(node.target)
        quantizer, slot = weight_quantizer(graph, node), _input_slot(graph, node, other)
        if quantizer is not None:
            found |= _of_rule(names[quantizer], other.of_weights.get(layer, {}))
        if slot is not None:
            mine = _of_rule(names[slot.quantizer], other.of_inputs[layer])
            if any(not torch.equal(found.get(name, value), value) for name, value in mine.items()):
                raise RecipeError(
                    f"model.start: {layer} and another layer read the same values by different quantizers; set "
                    "shared_inputs = false"
                )
            found |= mine
    return found


def _of_rule(quantizer: str, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{quantizer}.rule.{key}": value for key, value in parameters.items()}


def weight_quantizer(graph: Graph, node: fx.Node) -> Quantizer | None:
    """The quantizer of a layer's weight; None where it is in float."""
    layer = graph.submodule(node)
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    found: Quantizer = layer.parametrizations.weight[0].quantizer
    return found


def _input_slot(graph: Graph, node: fx.Node, other: Quantized) -> ActivationSlot | None:
    return slot_behind(graph, operand(node)) if str(node.target) in other.of_inputs else None


@torch.no_grad()
def check_against(graph: Graph, other: Quantized) -> None:
    """Compare quantized weights, and levels of activations, with those that the other network states.

    Raises: RecipeError naming the first layer that differs, with the largest difference.
    """
    for node in graph.layers():
        layer = str(node.target)
        slot, quantizer = _input_slot(graph, node, other), weight_quantizer(graph, node)
        if quantizer is not None and layer in other.expected:
            original = graph.submodule(node).parametrizations.weight.original
            _compare(f"{layer}.weight", quantizer(original), other.expected[layer])
        if slot is not None and other.levels:
            levels = slot.quantizer.grid.levels(slot.quantizer.rule.final_parameters()).values[0]
            if len(levels) != len(other.levels):
                raise RecipeError(
                    f"model.start: {layer}: its inputs have {len(other.levels)} levels there, {len(levels)} here; "
                    "give the stage the same activation_bits and method"
                )
            _compare(f"{layer}: levels of inputs", levels / levels[-1], torch.tensor(other.levels))


def _compare(what: str, ours: Tensor, theirs: Tensor) -> None:
    difference = float((ours.detach() - theirs).abs().max())
    if difference > TOLERANCE * float(theirs.abs().max()):
        raise RecipeError(
            f"model.start: {what}: quantized values differ by up to {difference:.3g} from those of the network; give "
            "the stage the method and bits that it was trained with"
        )
