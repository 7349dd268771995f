"""What a float network consists of, and what compression can do about each layer."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any

from torch import fx

from ..graph import Graph, trace
from ..quant.attach import is_nonnegative
from .sources import example_input, load_model

FLOAT_BYTES = 4


def survey(source: str, input_shape: tuple[int, ...] | None = None) -> dict[str, Any]:
    """Layers of a model (`zoo:NAME` or `FILE.py:FUNCTION`), for one input.

    Args:
        input_shape: without the batch axis; needed where the model does not name its own.
    Returns: {"input", "layers": [{"name", "op", "shape", "parameters", "macs", "bytes", "input_bytes", "note"}],
        "total", "others": {operation: count}}; bytes are float32.
    Raises: GraphError for a model that cannot be traced, RecipeError or DataError for one that cannot be loaded.
    """
    model = load_model(source)
    graph = trace(model.module, example_input(model, None, input_shape))
    nodes = graph.layers()
    layers = [_layer(graph, node, i in (0, len(nodes) - 1)) for i, node in enumerate(nodes)]
    others = Counter(graph.kind(node).op for node in graph.nodes if node not in nodes)
    return {
        "input": list(graph.example.shape[1:]), "layers": layers, "others": dict(others),
        "total": {key: sum(layer[key] for layer in layers) for key in ("parameters", "macs", "bytes")},
    }  # fmt: skip


def _layer(graph: Graph, node: fx.Node, is_end: bool) -> dict[str, Any]:
    weight = graph.submodule(node).weight
    source = node.args[0]
    assert isinstance(source, fx.Node), "the graph check lets layers read nodes only"
    notes = ["first or last: 8 bits unless the recipe says otherwise"] if is_end else []
    if not is_nonnegative(graph, source):
        notes.append("input can be negative: its method must allow that (lsq does)")
    op, shape = graph.kind(node).op, node.meta["shape"]
    positions = 0 if op == "embedding" else shape[1] if len(shape) == 3 else prod(shape[2:])
    return {
        "name": str(node.target), "op": op, "shape": list(weight.shape), "parameters": weight.numel(),
        "macs": weight.numel() * positions, "bytes": weight.numel() * FLOAT_BYTES,
        "input_bytes": prod(source.meta["shape"][1:]) * FLOAT_BYTES, "note": "; ".join(notes),
    }  # fmt: skip
