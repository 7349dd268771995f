"""Which graphs are legal. Runs after every rewrite."""

from __future__ import annotations

from collections import Counter
from typing import cast

from torch import fx

from .._core.errors import GraphError
from .graph import Graph
from .kind import Kind, node_label

AXES: dict[str, tuple[int, ...]] = {
    "conv2d": (4,), "max_pool": (4,), "avg_pool": (4,), "shift_pad": (4,), "flatten": (2, 4), "batch_norm": (2, 4),
    "linear": (2, 3), "embedding": (2,), "lstm": (3,), "gru": (3,), "layer_norm": (2, 3), "attention": (3,),
}  # fmt: skip
"""Axes of the input, batch included, where an operator demands them; others take (2, 3, 4)."""
LAYOUTS = {2: "(N, features)", 3: "(N, tokens, features)", 4: "(N, C, H, W)"}


def check(graph: Graph) -> Graph:
    """Return the graph if it is legal.

    Raises: GraphError naming the first node that is not, the reason, and what to do.
    """
    inputs = [str(node.target) for node in graph.module.graph.find_nodes(op="placeholder")]
    if len(inputs) != 1:
        raise GraphError(
            f"the model must take exactly one input, it takes {len(inputs)} ({', '.join(inputs)}); "
            "wrap it in a module whose forward takes one"
        )
    if not isinstance(graph.output, fx.Node):
        raise GraphError("the model must return exactly one tensor; wrap it in a module that returns one")
    for node in graph.nodes:
        _check_node(graph, node)
    _check_no_sharing(graph)
    return graph


def _check_node(graph: Graph, node: fx.Node) -> None:
    kind, label = graph.kind(node), node_label(node)
    if kind.op == "shape":
        return  # whoever reads it is refused
    if "shape" not in node.meta:
        raise GraphError(f"{label}: its result is no tensor; only tensors may flow through the model")
    if not node.users:
        raise GraphError(f"{label}: its result is never used; remove it from forward")
    _check_operands(node, kind, label)
    if node.meta["shape"][:1] != graph.example.shape[:1]:
        raise GraphError(f"{label}: must keep the batch axis first, gives {node.meta['shape']}; use x.flatten(1)")


def _check_operands(node: fx.Node, kind: Kind, label: str) -> None:
    shapes = [n.meta["shape"] for n in node.all_input_nodes if "shape" in n.meta]
    if len(shapes) != len(node.all_input_nodes):
        raise GraphError(f"{label}: takes a number from the model's shapes; write the number itself")
    axes = AXES.get(kind.op, tuple(LAYOUTS))
    if len(shapes[0]) not in axes:
        wanted = " or ".join(LAYOUTS[count] for count in axes)
        raise GraphError(
            f"{label}: {kind.op} takes {wanted}, got {shapes[0]}; give the example a batch axis or flatten"
        )
    if kind.op == "add" and any(shape != node.meta["shape"] for shape in shapes):
        raise GraphError(
            f"{label}: both sides of an addition must have one shape, got {' and '.join(map(str, shapes))}; "
            "broadcasting is not supported"
        )
    if kind.op == "concat":
        _check_channels(node, label)
    if kind.op == "flatten" and len(node.meta["shape"]) != 2:
        raise GraphError(f"{label}: must give (batch, features), gives {node.meta['shape']}; use x.flatten(1)")


def _check_channels(node: fx.Node, label: str) -> None:
    channels = 2 if len(node.meta["shape"]) == 3 else 1
    listed = cast(list[fx.Node], node.args[0])  # with repetitions, unlike the operands
    if node.meta["shape"][channels] != sum(n.meta["shape"][channels] for n in listed):
        hint = "; instead of a class token, average the tokens with x.mean(1)" if channels == 2 else ""
        raise GraphError(f"{label}: concatenates along another axis than channels, which is not supported{hint}")


def _check_no_sharing(graph: Graph) -> None:
    calls = Counter(str(node.target) for node in graph.layers())
    shared = [name for name, count in calls.items() if count > 1]
    if shared:
        raise GraphError(
            f"{shared[0]}: the layer is called {calls[shared[0]]} times; shared weights are not supported, "
            "give every place its own layer"
        )
