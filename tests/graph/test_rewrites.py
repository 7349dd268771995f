"""Rewrites of this room keep the contract of exact rewrites."""

from __future__ import annotations

import pytest

from kompakt.graph import Graph, fold_batch_norm, trace
from kompakt.testing import RewriteCase, RewriteContract
from support.nets import NETS, build


@pytest.fixture(params=NETS, scope="module")
def graph(request) -> Graph:
    net, x = build(request.param)
    return trace(net, x)


class TestFolding(RewriteContract):
    """Batch-norm into the layer before it."""

    @pytest.fixture
    def case(self, graph):
        return RewriteCase(fold_batch_norm, graph, tolerance=1e-5)


class TestCopying(RewriteContract):
    """The simplest rewrite."""

    @pytest.fixture
    def case(self, graph):
        return RewriteCase(Graph.copy, graph, tolerance=0)
