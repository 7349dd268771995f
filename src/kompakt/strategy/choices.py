"""From a quantize stage to a choice for every layer."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from ..quant.attach import Choice, LayerChoice
from .recipe import QuantizeStage, matching


def layer_choices(
    stage: QuantizeStage, layers: list[str], mixed: Mapping[str, int] = MappingProxyType({})
) -> dict[str, LayerChoice]:
    """Choice of every layer (names in network order): the stage's methods, `first_last` at both ends, then overrides.

    `mixed`: weight bits by layer, where the stage leaves them to the layer's sensitivity. Weight-only stages
    (`activation_bits = "float"`) leave the activations of the end layers in float, too.
    """
    activation = _choice(stage.method_of_activations, stage.activation_bits)
    end = _choice(stage.edge_method, stage.first_last)
    choices = {name: LayerChoice(end, end if activation else None) for name in layers}
    for name in inner_layers(layers):
        bits = mixed[name] if stage.weight_bits == "mixed" else stage.weight_bits
        choices[name] = LayerChoice(_choice(stage.method, bits), activation)
    for override in stage.override:
        for name in matching(override.layers, layers):
            choices[name] = LayerChoice(
                _overridden(choices[name].weight, override.method, override.weight_bits, stage),
                _overridden(choices[name].activation, override.method_of_activations, override.activation_bits, stage),
            )
    return choices


def inner_layers(layers: list[str]) -> list[str]:
    """All but the first and the last layer."""
    return layers[1:-1]


def residual_choice(stage: QuantizeStage) -> Choice | None:
    """How stored values are quantized; not at all in weight-only networks."""
    return _choice(stage.edge_method, stage.residual_bits) if stage.activation_bits != "float" else None


def _choice(method: str, bits: int | Literal["float"]) -> Choice | None:
    return None if bits == "float" else Choice(method, bits)


def _overridden(
    old: Choice | None, method: str | None, bits: int | Literal["float"] | None, stage: QuantizeStage
) -> Choice | None:
    if bits == "float" or (old is None and bits is None):
        return None
    new_bits = bits if bits is not None else old.bits  # type: ignore[union-attr]
    return Choice(method or (old.method if old else stage.edge_method), new_bits)
