"""The contracts find what they are there to find: every planted mistake breaks the clause that forbids it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from kompakt.encoding import Affine, Planes, Table
from kompakt.graph import Graph, trace
from kompakt.quant import METHODS, Parts
from kompakt.quant import quantizer as parts_table
from kompakt.quant.grids import Uniform
from kompakt.quant.learned_step import LearnedStep
from kompakt.testing import (
    EncodingContract,
    RewriteContract,
    check_encoding,
    check_quantizer,
    check_rewrite,
    clauses,
)
from kompakt.zoo import DigitsNet

LSQ = METHODS["lsq"]


@dataclass(frozen=True)
class TooFewLevels(Uniform):
    """Codes do not reach as far as values do."""

    def code(self, x, p):
        return super().code(x.clamp(-p["step"], p["step"]), p)


class ShyStep(LearnedStep):
    """Its parameter takes no part in the forward pass."""

    def parameters_of_grid(self):
        return {"step": self.step.detach()}


class RestlessStep(LearnedStep):
    """Changes in evaluation."""

    def parameters_of_grid(self):
        self.gradient_scale *= 1.5
        return super().parameters_of_grid()


class ForgetfulStep(LearnedStep):
    """Does not save its gradient scale."""

    def get_extra_state(self):
        return torch.tensor(1.0, dtype=torch.float64)


class LooseStep(LearnedStep):
    """Lets the step cross zero."""

    def after_step(self):
        pass


class CarelessStep(LearnedStep):
    """Fits dead data to a step of zero."""

    @torch.no_grad()
    def fit(self, x):
        super().fit(x)
        self.step.copy_(x.abs().max())


def half_precision(x, grid, p, gradient_scale):
    """Computes in the type of its argument."""
    return torch.clamp(torch.round(x / p["step"].to(x.dtype)), *grid.limits) * p["step"].to(x.dtype)


def widened(x, grid, p, gradient_scale):
    """Forgets the type of its argument."""
    return parts_table.step_aware(x, grid, p, gradient_scale).float()


PLANTED = {
    "decoded codes are the forward values": replace(LSQ, grid="too_few_levels"),
    "gradients reach values and every parameter": replace(LSQ, rule="shy"),
    "evaluation changes no state": replace(LSQ, rule="restless"),
    "state restores values and gradients": replace(LSQ, rule="forgetful"),
    "parameters stay legal after a wild step": replace(LSQ, rule="loose"),
    "dead and constant data give finite values": replace(LSQ, rule="careless"),
    "shape and type are kept": replace(LSQ, surrogate="widened"),
    "claims hold: unknown claims": replace(LSQ, claims=frozenset({"perfect"})),
    "claims hold: not odd": replace(LSQ, claims=frozenset({"odd"})),
    "claims hold: no zero": replace(METHODS["lq_nets"], claims=frozenset({"has_zero"})),
}


@pytest.mark.parametrize("clause", PLANTED)
def test_planted_mistakes_are_found(clause, monkeypatch):
    monkeypatch.setitem(parts_table.GRIDS, "too_few_levels", TooFewLevels)
    for name, rule in {"shy": ShyStep, "restless": RestlessStep, "forgetful": ForgetfulStep, "loose": LooseStep,
                       "careless": CarelessStep}.items():  # fmt: skip
        monkeypatch.setitem(parts_table.RULES, name, rule)
    monkeypatch.setitem(parts_table.SURROGATES, "half_precision", half_precision)
    monkeypatch.setitem(parts_table.SURROGATES, "widened", widened)
    with pytest.raises(AssertionError, match=clause):
        check_quantizer(PLANTED[clause], bits=[2])


def test_bits_that_the_method_does_not_check_are_found(monkeypatch):
    class AnyBits(tuple):
        def __contains__(self, bits):
            return True

    with pytest.raises(AssertionError, match=r"wrong settings|bits"):
        check_quantizer(replace(LSQ, bits=AnyBits((2,))))


@pytest.mark.parametrize("name", METHODS)
def test_our_own_methods_pass(name):
    check_quantizer(METHODS[name], bits=METHODS[name].bits[:1])


ENCODINGS = [
    *(Affine(bits, signed) for bits in (1, 3, 8) for signed in (False, True)),
    Planes(2, np.array([[1, 2], [-3, 5]]), "pm"),
    Planes(4, np.array([1, 2, 4, 9]), "01"),
    Table(3, np.array([0, 1, -3, 4, 9, -20, 6, 7])),
    Table(2, np.array([[0, 1, -3, 4], [4, 3, 2, 1], [0, 0, 1, 1]])),
]


@pytest.fixture(params=ENCODINGS, ids=lambda e: f"{type(e).__name__}-{e.bits}-{e.grains}")
def case(request):
    return request.param


class TestEncodings(EncodingContract):
    """Every clause on every kind of encoding."""


def test_check_encoding_runs_every_clause():
    for encoding in ENCODINGS:
        check_encoding(encoding)
    assert len(clauses(EncodingContract())) == 4


def digits_graph() -> Graph:
    torch.manual_seed(0)
    return trace(DigitsNet(4), torch.zeros(2, 1, 8, 8))


def shifted(graph: Graph) -> Graph:
    graph = graph.copy()
    with torch.no_grad():
        graph.module.classifier.bias += 0.1
    return graph


def in_place(graph: Graph) -> Graph:
    with torch.no_grad():
        graph.module.classifier.bias *= 1 + 1e-6
    return graph


def doubled(graph: Graph) -> Graph:
    graph = graph.copy()
    graph.output.args = (graph.output.args[0],)
    graph.module.add_submodule("again", torch.nn.ReLU())
    node = graph.layers()[-1]
    with graph.module.graph.inserting_before(node):
        relu = graph.module.graph.call_module("again", (node.args[0],))
    node.args = (relu,)
    return graph.refresh()


@pytest.mark.parametrize(
    ("rewrite", "clause"),
    [(shifted, "outputs stay"), (in_place, "left alone"), (doubled, "again changes nothing")],
)
def test_faulty_rewrites_are_found(rewrite, clause):
    with pytest.raises(AssertionError, match=clause):
        check_rewrite(rewrite, digits_graph())


def test_the_identity_is_an_exact_rewrite():
    check_rewrite(Graph.copy, digits_graph(), tolerance=0)
    assert len(clauses(RewriteContract())) == 4


def test_a_method_is_data():
    assert isinstance(LSQ, Parts)
    assert hash(LSQ) == hash(replace(LSQ))
