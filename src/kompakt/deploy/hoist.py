"""Move activation slots up through nodes that only carry values, so that what is carried is already coded.

Exact: a per-tensor quantizer is monotone, so it commutes with max-pooling; it acts on every value alone, so it commutes
with flattening, gathering, concatenation and shortcuts (zero stays zero).
"""

from __future__ import annotations

from torch import fx

from ..graph import Graph, check, operand

CARRIERS = ("max_pool", "flatten", "reshape", "gather", "shift_pad", "concat", "identity")


def hoist_slots(graph: Graph) -> Graph:
    """A copy of the graph in which no slot follows a carrier that feeds it alone."""
    graph = graph.copy()
    while any(_hoist(graph, node) for node in graph.nodes if graph.kind(node).op == "slot"):
        pass
    return check(graph.refresh())


def _hoist(graph: Graph, slot: fx.Node) -> bool:
    """Move one slot in front of the carrier that it follows; False where there is none of its own."""
    carrier = operand(slot)
    if carrier.op == "placeholder" or graph.kind(carrier).op not in CARRIERS or len(carrier.users) != 1:
        return False
    for source in carrier.all_input_nodes:
        with graph.module.graph.inserting_before(carrier):
            moved = graph.module.graph.call_module(str(slot.target), (source,))
        carrier.replace_input_with(source, moved)
    slot.replace_all_uses_with(carrier)
    graph.module.graph.erase_node(slot)
    return True
