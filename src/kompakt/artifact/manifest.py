"""Nodes to JSON and back. Writing is the definition: a reader refuses what it would not write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.errors import ArtifactError
from .codecs import describe_encoding, describe_weight, restore_encoding, restore_weight
from .ops import OPS
from .program import Node
from .sections import Sink, Source
from .variants import Weights, namesake
from .weight import FloatWeight, Weight

_STORED = {
    "m": "floats", "b": "floats", "value": "floats", "thresholds": "thresholds", "directions": "directions",
    "bias": "thresholds", "left": "directions", "right": "directions",
}  # fmt: skip
"""Sections of the attributes that are arrays."""


def describe(node: Node, sink: Sink, is_variant: bool = False) -> dict[str, Any]:
    """JSON object of a node; its arrays go to `sink`, of a variant without codes and floats of weights."""
    entry: dict[str, Any] = {"op": node.op, "name": node.name, "in": list(node.inputs)}
    for field in OPS[node.op].fields:
        value = node.attrs[field.name]
        if isinstance(value, (Weight, FloatWeight)):
            entry[field.name] = describe_weight(value, sink, is_variant)
        elif isinstance(value, np.ndarray):
            sink.put(_STORED[field.name], value)
        elif field.name == "encoding" and value is not None:
            entry[field.name] = describe_encoding(value)
        elif value != _default(field.name, field.default, node.attrs):
            entry[field.name] = list(value) if isinstance(value, tuple) else value
    return entry


def restore(entry: Mapping[str, Any], source: Source, shape: tuple[int, ...], weights: Weights | None = None) -> Node:
    """The node that `describe` gave this JSON object for.

    Args:
        entry: an object that has `op`, `name` and `in`.
        source: where the node's arrays come from.
        shape: of the node's first input, which says how large its arrays are.
        weights: for a variant, the weights of the highest bit-width by node.
    Raises: ArtifactError, kinds as in docs/format.md. Spelling (defaults written out, 8 for 8.0) is not checked here.
    """
    where = f"node {entry['name']!r}"
    attrs = {key: value for key, value in entry.items() if key not in ("op", "name", "in")}
    try:
        if any(value is None for value in attrs.values()):
            raise ArtifactError("null is never written; leave the attribute out", "node")
        if "encoding" in attrs:
            attrs["encoding"] = restore_encoding(attrs["encoding"])
        if "weight" in attrs:
            base = None if weights is None else namesake(weights, entry["name"])
            attrs["weight"] = restore_weight(attrs["weight"], source, base)
        attrs.update(_stored_arrays(entry["op"], attrs, source, shape, len(entry["in"])))
        return Node(entry["op"], entry["name"], entry["in"], attrs)
    except ArtifactError as error:
        message = str(error)
        raise ArtifactError(message if message.startswith(where) else f"{where}: {message}", error.kind) from None


def _stored_arrays(
    op: Any, attrs: Mapping[str, Any], source: Source, shape: tuple[int, ...], inputs: int
) -> dict[str, np.ndarray]:
    """Arrays of a node in the order in which the sections hold them."""
    rows = shape[0]
    if op in ("affine", "lstm", "gru"):
        shapes: dict[str, tuple[int, ...]] = {"m": (rows,), "b": (rows,)}
    elif op == "threshold" and "encoding" in attrs:
        shapes = {"thresholds": (rows, (1 << attrs["encoding"].bits) - 1), "directions": (rows,)}
    elif op == "requantize":
        shapes = {"bias": (rows,), "left": (inputs, rows), "right": (rows,)}
    elif op == "add_constant":
        shapes = {"value": shape}
    else:
        return {}
    misplaced = sorted(set(shapes) & set(attrs))
    if misplaced:
        raise ArtifactError(f"{misplaced[0]} belongs in a section, not in the manifest", "node")
    return {name: source.take(_STORED[name], shape) for name, shape in shapes.items()}


def _default(name: str, default: Any, attrs: Mapping[str, Any]) -> Any:
    """What an absent attribute means, given the others."""
    if name == "codes":
        return tuple(range(1 << attrs["encoding"].bits))
    if name == "top":
        return attrs["encoding"].limits[1]
    return attrs["kernel"] if name == "stride" and default is None else default
