"""A network as a chain of blocks: parts that one value leads into and one value leads out of."""

from __future__ import annotations

from collections.abc import Sequence

from torch import fx

from .graph import Graph, operand

# They change a value's form or precision alone: what reads their result reads what comes into them.
CARRIERS = ("slot", "max_pool", "flatten", "reshape", "gather", "identity")


def chains(graphs: Sequence[Graph]) -> list[list[fx.GraphModule]]:
    """Every graph as modules that, one after the other, compute what it does; all are cut at the same values.

    A cut is a value through which everything passes and which a layer reads: a residual block ends where the next
    begins. The modules hold the graphs' own sub-modules; they follow their training mode.

    Args: graphs: of one network, with different quantizers.
    """
    cuts = [_cuts(graph) for graph in graphs]
    common = [name for name in cuts[0] if all(name in other for other in cuts[1:])]
    return [_parts(graph, common) for graph in graphs]


def _cuts(graph: Graph) -> list[str]:
    nodes = list(graph.nodes)
    place = {node: i for i, node in enumerate(nodes)}
    furthest, found = place.get(_last_user(graph.input, place), 0), []
    for i, node in enumerate(nodes[:-1]):
        is_alone = furthest <= i  # no value from before is read behind this node
        furthest = max(furthest, place.get(_last_user(node, place), 0))
        if is_alone and graph.kind(node).op not in CARRIERS and _feeds_layer(graph, node):
            found.append(node.name)
    return found


def _last_user(node: fx.Node, place: dict[fx.Node, int]) -> fx.Node:
    return max(node.users, key=lambda user: place.get(user, len(place)))


def _feeds_layer(graph: Graph, node: fx.Node) -> bool:
    for layer in graph.layers():
        source = operand(layer)
        while source is not node and source.op != "placeholder" and graph.kind(source).op in CARRIERS:
            source = operand(source)
        if source is node:
            return True
    return False


def _parts(graph: Graph, cuts: Sequence[str]) -> list[fx.GraphModule]:
    parts, new, copies = [], fx.Graph(), {}
    copies[graph.input] = new.placeholder("x")
    for node in graph.nodes:
        copies[node] = new.node_copy(node, copies.__getitem__)
        if node.name in cuts or node is graph.output:
            new.output(copies[node])
            parts.append(fx.GraphModule(graph.module, new))
            new = fx.Graph()
            copies = {node: new.placeholder("x")}
    return parts
