"""What every method makes of a network's weights, without any data: the error, and how its levels lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..graph import Graph, fold_batch_norm, trace
from ..quant import Parts, Quantizer, method
from .choices import inner_layers
from .sources import example_input, load_model


@dataclass(frozen=True)
class Scheme:
    """A method at a bit-width, over all inner layers.

    Attributes:
        sqnr_db: power of the weights over that of their error, in dB; layers count by their power.
        range_db: largest level over the smallest that is not 0, in dB; the mean over layers and channels.
        zero_fraction: share of the weights that become 0.
        occupancy: levels that are used, as a share of 2^bits; the mean over layers and channels.
    """

    method: str
    bits: int
    sqnr_db: float
    range_db: float
    zero_fraction: float
    occupancy: float


def compare_schemes(
    source: str, methods: Sequence[str], bits: Sequence[int], input_shape: tuple[int, ...] | None = None
) -> list[Scheme]:
    """Every method at every bit-width that it can do, in the order given; batch-norm folded, ends left out.

    Args: source: `zoo:NAME` or `FILE.py:FUNCTION`.
    Raises: RecipeError, DataError, GraphError.
    """
    chosen = {name: method(name) for name in methods}
    model = load_model(source)
    graph = fold_batch_norm(trace(model.module, example_input(model, None, input_shape)))
    weights = _inner_weights(graph)
    return [_scheme(name, parts, b, weights) for name, parts in chosen.items() for b in bits if b in parts.bits]


def _inner_weights(graph: Graph) -> list[Tensor]:
    layers = {str(node.target): graph.submodule(node) for node in graph.layers()}
    return [layers[name].weight.detach() for name in inner_layers(list(layers))]


def _scheme(name: str, parts: Parts, bits: int, weights: list[Tensor]) -> Scheme:
    power = error = zeros = count = 0.0
    ranges, used = [], []
    for weight in weights:
        grains = weight.shape[0] if parts.grain == "channel" else 1
        quantizer = Quantizer(parts, bits, True, grains).eval()
        quantizer.fit(weight)
        codes, encoding, scale = quantizer.encode(weight)
        value = quantizer.decode(codes, encoding, scale)
        power += float(weight.double().square().sum())
        error += float(np.square(value.astype(np.float64) - weight.double().numpy()).sum())
        zeros, count = zeros + float((value == 0).sum()), count + value.size
        used += [len(np.unique(row)) / 2**bits for row in codes.reshape(grains, -1)]
        ranges += [_range_db(row) for row in quantizer.grid.levels(quantizer.rule.final_parameters()).values.numpy()]
    sqnr = 10 * math.log10(power / max(error, 1e-30))
    return Scheme(name, bits, sqnr, float(np.mean(ranges)), zeros / count, float(np.mean(used)))


def _range_db(levels: np.ndarray) -> float:
    magnitude = np.abs(levels[levels != 0].astype(np.float64))
    return 20 * math.log10(magnitude.max() / magnitude.min())
