"""Layers that one low-bit tensor serves badly get a better choice, as many as a share of the weights allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from ..graph import Graph, run_in_parts
from ..ops.allocation import Option, allocate
from ..quant.attach import Choice, LayerChoice, attach, calibrate
from .choices import inner_layers
from .recipe import QuantizeStage
from .sensitivity import output_distance

SAMPLES = 64  # the order of the layers is settled long before the accuracy is


def hard_choices(
    graph: Graph, stage: QuantizeStage, choices: dict[str, LayerChoice], batch: Tensor,
    on_step: Callable[[str, int, int], None] = lambda layer, done, of: None,
) -> dict[str, LayerChoice]:  # fmt: skip
    """The better choice of the layers that gain most by it, by name.

    Each inner layer alone is quantized both ways; its loss is the distance of the network's outputs from the float
    ones. The set of largest total gain whose weights are `stage.hard_share` of the inner layers' at most is found
    exactly. Layers with an override are left alone.

    Args:
        graph: the float network. choices: of all layers. batch: samples (N, ...), of which the first 64 are used.
        on_step: told layer, finished and all measurements.
    """
    weights = {str(node.target): graph.submodule(node).weight.numel() for node in graph.layers()}
    inner = inner_layers(list(weights))
    names = [name for name in inner if choices[name].weight == Choice(stage.method, stage.weight_bits)]  # type: ignore[arg-type]
    batch = batch[:SAMPLES]
    graph.module.eval()
    expected = run_in_parts(graph, batch)
    items = []
    for i, name in enumerate(names):
        on_step(name, i, len(names))
        losses = [_loss(graph, name, c, batch, expected) for c in (choices[name], _harder(choices[name], stage))]
        items.append([Option(0, losses[0]), Option(weights[name], losses[1])])
    chosen = allocate(items, int(stage.hard_share * sum(weights[name] for name in inner)))
    return {name: _harder(choices[name], stage) for name, better in zip(names, chosen, strict=True) if better}


def _harder(choice: LayerChoice, stage: QuantizeStage) -> LayerChoice:
    """What a hard layer gets: its weights' better choice, and more bits for its activations where the stage says so."""
    activation = choice.activation
    if activation is not None and stage.hard_activation_bits is not None:
        activation = replace(activation, bits=stage.hard_activation_bits)
    return LayerChoice(Choice(stage.hard_method, stage.hard_bits), activation)


def _loss(graph: Graph, name: str, choice: LayerChoice, batch: Tensor, expected: Tensor) -> float:
    changed = attach(graph, {name: choice}, None)
    calibrate(changed, batch)
    return output_distance(run_in_parts(changed, batch), expected)
