"""Which graphs are legal. Runs after every rewrite."""

from __future__ import annotations

from torch import fx

from .._core.errors import GraphError
from .graph import Graph
from .kinds import node_label

ARITY = {"add": 2}


def check(graph: Graph) -> Graph:
    """Return the graph if it is legal. Raises: GraphError naming the first node that is not."""
    nodes = list(graph.module.graph.nodes)
    if sum(node.op == "placeholder" for node in nodes) != 1:
        raise GraphError("the model must take exactly one input")
    if not isinstance(graph.output, fx.Node):
        raise GraphError("the model must return exactly one tensor")
    for node in graph.nodes:
        _check_node(graph, node)
    return graph


def _check_node(graph: Graph, node: fx.Node) -> None:
    kind = graph.kind(node)
    label = node_label(node)
    if "shape" not in node.meta:
        raise GraphError(f"{label}: its result is no tensor; only tensors may flow through the model")
    inputs = node.all_input_nodes
    wanted = ARITY.get(kind.op, 1)
    if kind.op != "concat" and len(inputs) not in (wanted, 1):
        raise GraphError(f"{label}: {kind.op} takes {wanted} inputs, got {len(inputs)}")
    if kind.op == "add" and any(n.meta["shape"] != node.meta["shape"] for n in inputs):
        shapes = " and ".join(str(n.meta["shape"]) for n in inputs)
        raise GraphError(f"{label}: both sides of an addition must have one shape, got {shapes}")
    if kind.op == "flatten" and len(node.meta["shape"]) != 2:
        raise GraphError(f"{label}: must give (batch, features), gives {node.meta['shape']}")
    if not node.users:
        raise GraphError(f"{label}: its result is never used")
