"""Moving slots up through carriers changes no bit."""

from __future__ import annotations

import pytest

from kompakt.deploy.hoist import CARRIERS, hoist_slots
from kompakt.graph import operand
from kompakt.testing import RewriteCase, RewriteContract
from support.nets import NETS
from support.quantized import SIGNED_INNER, quantized_net

CASES = [(name, "lq-w2a2") for name in NETS if name not in SIGNED_INNER] + [(name, "lsq-w2a2") for name in NETS]


@pytest.fixture(params=CASES, ids="-".join, scope="module")
def case(request):
    graph, _, _ = quantized_net(*request.param, samples=2)
    return RewriteCase(hoist_slots, graph, tolerance=0)


class TestHoisting(RewriteContract):
    """Every clause on every net: outputs have the same bits."""

    def test_no_slot_follows_a_carrier_of_its_own(self, case):
        graph = hoist_slots(case.graph)
        for node in graph.nodes:
            if graph.kind(node).op == "slot" and operand(node).op != "placeholder":
                before = operand(node)
                assert graph.kind(before).op not in CARRIERS or len(before.users) > 1


@pytest.mark.parametrize(("name", "setup"), [("pools", "lq-w2a2"), ("inception", "lq-w2a2"), ("linear", "lsq-w2a2")])
def test_what_is_pooled_and_joined_is_coded(name, setup):
    graph = hoist_slots(quantized_net(name, setup, samples=2)[0])
    pooled = [node for node in graph.nodes if graph.kind(node).op == "max_pool"]
    inner = [node for node in pooled if len(node.users) == 1]
    assert all(graph.kind(operand(node)).op == "slot" for node in inner)
