"""How much every layer's weights mind fewer bits: measured, one layer at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .._core.errors import RecipeError
from ..graph import Graph, fold_batch_norm, run_in_parts, trace
from ..ops.allocation import Option, allocate
from ..quant.attach import Choice, LayerChoice, attach
from .choices import inner_layers
from .sources import example_input, load_data, load_model

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class LayerSensitivity:
    """What a layer loses at each bit-width.

    Attributes:
        layer: name. weights: count.
        loss: bit-width to distance of the network's outputs from the float network's, see `output_distance`.
    """

    layer: str
    weights: int
    loss: dict[int, float]


def output_distance(outputs: Tensor, expected: Tensor) -> float:
    """Mean relative entropy of the classes (N, C), in nats; for other shapes the squared error over the variance."""
    if outputs.dim() == 2 and outputs.shape[1] > 1:
        expected_log, found_log = F.log_softmax(expected.double(), 1), F.log_softmax(outputs.double(), 1)
        return float((expected_log.exp() * (expected_log - found_log)).sum(1).mean())
    wanted = expected.double()
    return float((outputs.double() - wanted).square().mean() / wanted.var().clamp_min(1e-30))


def sensitivity(
    graph: Graph, layers: Sequence[str], method: str, bits: Sequence[int], batch: Tensor,
    on_step: Progress = lambda layer, done, of: None,
) -> list[LayerSensitivity]:  # fmt: skip
    """Quantize the weights of one layer at a time, everything else in float, and measure at the output.

    Args:
        graph: the float network.
        layers: names. method: of the weights. bits: bit-widths to try.
        batch: samples (N, ...).
        on_step: told layer, finished and all measurements.
    Raises: QuantizerError for a bit-width that the method cannot do.
    """
    graph.module.eval()
    found, expected = [], run_in_parts(graph, batch)
    weights = {str(node.target): graph.submodule(node).weight.numel() for node in graph.layers()}
    for i, layer in enumerate(layers):
        loss = {}
        for j, b in enumerate(bits):
            on_step(layer, i * len(bits) + j, len(layers) * len(bits))
            changed = attach(graph, {layer: LayerChoice(Choice(method, b), None)}, None)
            changed.module.eval()
            loss[b] = output_distance(run_in_parts(changed, batch), expected)
        found.append(LayerSensitivity(layer, weights[layer], loss))
    return found


def mixed_bits(found: Sequence[LayerSensitivity], mean_bits: float) -> dict[str, int]:
    """The bits of every layer that lose least in sum, at `mean_bits` per weight on average or fewer.

    Losses of layers are taken to add up, which they do while they are small.

    Raises: RecipeError if `mean_bits` is below the smallest bit-width.
    """
    items = [[Option(b * layer.weights, loss) for b, loss in layer.loss.items()] for layer in found]
    chosen = allocate(items, int(mean_bits * sum(layer.weights for layer in found)))
    return {layer.layer: list(layer.loss)[i] for layer, i in zip(found, chosen, strict=True)}


def expected_seconds(graph: Graph, layers: int, bits: int, batch: Tensor) -> float:
    """Time that `sensitivity` will take, from one pass of the float network over the batch."""
    started = time.monotonic()
    graph.module.eval()
    run_in_parts(graph, batch)
    return (time.monotonic() - started) * (layers * bits + 1)


def measure_sensitivity(
    source: str, data: str, method: str, bits: Sequence[int], samples: int, mean_bits: float,
    on_estimate: Callable[[float], None] = lambda seconds: None,
    on_step: Progress = lambda layer, done, of: None,
) -> dict[str, Any]:  # fmt: skip
    """Sensitivity of every layer but the first and the last, worst first, and the bits that it speaks for.

    Args:
        source: `zoo:NAME` or `FILE.py:FUNCTION`. data: see `load_data`. samples: how many inputs to use.
        mean_bits: per weight, of the choice.
        on_estimate: told the seconds to expect before the work begins.
    Returns: {"layers": [{"layer", "weights", "loss": {bits as text: distance}, "chosen"}], "mean_bits", "block"}.
    Raises: RecipeError, DataError, GraphError, QuantizerError.
    """
    model = load_model(source)
    dataset = load_data(data, model)
    batch = torch.from_numpy(dataset.normalise(dataset.train.images[:samples]))
    graph = fold_batch_norm(trace(model.module, example_input(model, dataset, None)))
    layers = inner_layers([str(node.target) for node in graph.layers()])
    if not layers:
        raise RecipeError(f"{source}: has no layer between the first and the last one")
    on_estimate(expected_seconds(graph, len(layers), len(bits), batch))
    found = sensitivity(graph, layers, method, bits, batch, on_step)
    chosen = mixed_bits(found, mean_bits)
    found.sort(key=lambda layer: -layer.loss[min(bits)])
    return {
        "layers": [
            {
                "layer": layer.layer, "weights": layer.weights, "loss": {str(b): v for b, v in layer.loss.items()},
                "chosen": chosen[layer.layer],
            }
            for layer in found
        ],
        "mean_bits": sum(chosen[s.layer] * s.weights for s in found) / sum(s.weights for s in found),
        "block": "\n".join(_override(layer, chosen[layer]) for layer in layers),
    }  # fmt: skip


def _override(layer: str, bits: int) -> str:
    return f'[[stage.override]]\nlayers = "{layer}"\nweight_bits = {bits}\n'
