"""The contract of rewrites: graph to graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..graph import Graph, check
from .contract import run_clauses

SEED = 5


@dataclass(frozen=True)
class RewriteCase:
    """A rewrite, a graph to apply it to, and how close outputs must be (relative to the largest; 0: the same bits)."""

    rewrite: Callable[[Graph], Graph]
    graph: Graph
    tolerance: float = 1e-5

    def __str__(self) -> str:
        return getattr(self.rewrite, "__name__", str(self.rewrite))


class RewriteContract:
    """Inherit and give a fixture `case`: a RewriteCase of an exact rewrite."""

    def test_the_result_is_legal_and_runs(self, case: RewriteCase) -> None:
        check(case.rewrite(case.graph).refresh())

    def test_the_graph_that_came_in_is_left_alone(self, case: RewriteCase) -> None:
        before = {key: value.clone() for key, value in case.graph.module.state_dict().items() if torch.is_tensor(value)}
        code = case.graph.module.code
        case.rewrite(case.graph)
        after = case.graph.module.state_dict()
        assert case.graph.module.code == code, "its code changed"
        assert all(torch.equal(value, after[key]) for key, value in before.items()), "its parameters changed"

    @torch.no_grad()
    def test_outputs_stay(self, case: RewriteCase) -> None:
        shape = (3, *case.graph.example.shape[1:])
        x = torch.randn(shape, generator=torch.Generator().manual_seed(SEED))
        expected, found = case.graph.module.eval()(x), case.rewrite(case.graph).module.eval()(x)
        if case.tolerance == 0:
            assert torch.equal(found, expected), "outputs must have the same bits"
        else:
            distance = float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-30))
            assert distance <= case.tolerance, f"outputs differ by {distance} of the largest"

    def test_applying_it_again_changes_nothing(self, case: RewriteCase) -> None:
        once = case.rewrite(case.graph)
        assert case.rewrite(once).module.code == once.module.code, "a second application changes the code"


def check_rewrite(rewrite: Callable[[Graph], Graph], graph: Graph, tolerance: float = 1e-5) -> None:
    """Run the contract of exact rewrites. Raises: AssertionError naming the broken clause."""
    run_clauses(RewriteContract(), RewriteCase(rewrite, graph, tolerance))
