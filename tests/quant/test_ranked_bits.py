"""BMPQ: gradients of bits, the program that assigns them, and when it does."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from kompakt._core.errors import QuantizerError, RecipeError
from kompakt.artifact import to_bytes
from kompakt.data import digits
from kompakt.deploy import lower
from kompakt.graph import Graph, trace
from kompakt.quant import METHODS, Moment, Quantizer, QuantizerTraining
from kompakt.quant.attach import attach, calibrate
from kompakt.quant.bit_costs import share_out
from kompakt.quant.ranked_bits import RankedBits, best_bits, rank_and_assign
from support.quantized import EIGHT, layer

PARTS = METHODS["bmpq"]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rules(*counts: int, most: int = 6, mean_bits: float = 3.0):
    made = []
    for seed, count in enumerate(counts):
        quantizer, weight = Quantizer(PARTS, most, True), normal(4, count // 4, seed=seed).requires_grad_()
        quantizer.fit(weight)
        quantizer.rule.mean_bits = mean_bits
        made.append((quantizer.rule, weight))
    return made


def step(given, gradients, ends_epoch=True):
    for (_, weight), gradient in zip(given, gradients, strict=True):
        weight.grad = torch.full_like(weight, float(gradient))
    with torch.no_grad():
        rank_and_assign(given, Moment(torch.tensor(0.0), lambda: torch.tensor(0.0), ends_epoch=ends_epoch))
    return [rule.whole_bits for rule, _ in given]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_bit_gradients_are_those_of_a_sum_of_planes(bits):
    """Card, tests 1 and 2: planes times powers of two give the codes; their gradients give the identity."""
    (rule, weight), = rules(400, most=bits)  # fmt: skip
    upstream = normal(4, 100, seed=9)
    level = torch.round(weight / rule.step).clamp(*rule.grid.limits(rule.final_parameters())).detach()
    powers = torch.tensor([2.0**j for j in range(bits - 1)] + [-(2.0 ** (bits - 1))])
    planes = ((level.long()[..., None] >> torch.arange(bits)) & 1).float().requires_grad_()
    quantized = (planes * powers).sum(-1) * rule.step.detach()
    p = rule.final_parameters()
    torch.testing.assert_close(quantized, rule.grid.value(weight.detach(), p), rtol=0, atol=0)
    (quantized * upstream).sum().backward()
    expected = planes.grad.abs().sum(-1).mean()
    assert rule.bit_gradient(upstream).item() == pytest.approx(expected.item(), rel=1e-6)


def test_no_assignment_within_the_budget_has_a_smaller_error():
    """Card, test 3: against all assignments."""
    given = rules(40, 400, 120, 80, most=5, mean_bits=3.2)
    values = (0.9, 0.1, 0.4, 1.0)
    for (rule, _), value in zip(given, values, strict=True):
        rule.sensitivity.fill_(2 * value)
        rule.seen.fill_(2)
    counts = [weight.numel() for _, weight in given]

    def error(bits):
        return sum(n * v / (2**b - 1) for n, v, b in zip(counts, values, bits, strict=True))

    legal = [
        bits for bits in itertools.product(range(2, 6), repeat=4)
        if sum(n * b for n, b in zip(counts, bits, strict=True)) <= 3.2 * sum(counts)
    ]  # fmt: skip
    found = tuple(best_bits(given))
    assert found in legal
    assert error(found) == pytest.approx(min(map(error, legal)))


def test_what_the_loss_minds_gets_the_bits():
    """Card, test 4: equal weights, of which the loss minds one."""
    given = rules(80, 80, mean_bits=3.5)
    few, many = step(given, (0.001, 1.0))
    assert few < many
    assert step(given, (1.0, 0.001)) == [many, few], "bits come back"


def test_bits_change_at_the_ends_of_epochs_alone():
    """Card, test 7; every interval is judged by its own gradients."""
    given = rules(80, 80, mean_bits=3.5)
    assert step(given, (0.001, 1.0), ends_epoch=False) == [6, 6]
    assert [rule.seen.item() for rule, _ in given] == [1, 1]
    first = step(given, (0.001, 1.0))
    assert first != [6, 6]
    assert [rule.seen.item() + rule.sensitivity.item() for rule, _ in given] == [0, 0]
    assert step(given, (1.0, 0.001), ends_epoch=False) == first


def test_gradients_of_zero_everywhere_are_no_error():
    given = rules(80, 80)
    bits = step(given, (0.0, 0.0))
    assert sum(bits) <= 6


def test_steps_start_anew_from_the_float_weights():
    given = rules(80, 80, mean_bits=3.5)
    with torch.no_grad():
        given[0][1].mul_(7)
    step(given, (0.001, 1.0))
    rule, weight = given[0]
    expected = Quantizer(PARTS, rule.whole_bits, True)
    expected.fit(weight)
    torch.testing.assert_close(rule.step, expected.rule.step)


def test_a_budget_below_the_fewest_bits_is_refused():
    with pytest.raises(RecipeError, match="below the"):
        step(rules(80, 80, mean_bits=1.5), (1.0, 1.0))


def test_a_weight_without_gradient_is_named():
    given = rules(80)
    with pytest.raises(QuantizerError, match=r"shape \(4, 20\) has no gradient"):
        rank_and_assign(given, Moment(torch.tensor(0.0), lambda: torch.tensor(0.0)))


@pytest.mark.parametrize("mean_bits", [2.1, 2.7, 4.0])
def test_the_file_keeps_the_budget(mean_bits):
    """Card, test 5: bits are counted in what is stored."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10),
    ).eval()  # fmt: skip
    data = digits()
    x, labels = torch.from_numpy(data.normalise(data.train.images[:64])), torch.from_numpy(data.train.labels[:64])
    inner = layer("bmpq6", "lsq4")
    graph = attach(trace(net, x), {"0": EIGHT, "2": inner, "4": inner, "7": inner, "9": EIGHT}, None)
    calibrate(graph, x)
    share_out(graph, "bits", mean_bits)
    training = QuantizerTraining(graph.module)
    nn.functional.cross_entropy(graph.module(x), labels).backward()
    training.before_step(Moment(torch.tensor(0.0), lambda: torch.tensor(0.0), ends_epoch=True))
    training.finish()
    program = lower(Graph(graph.module.eval(), graph.example))
    assert to_bytes(program)
    stored = [node.attrs["weight"] for node in program.nodes if node.op in ("conv2d", "linear")][1:-1]
    spent = sum(weight.encoding.bits * weight.codes.size for weight in stored)
    count = sum(weight.codes.size for weight in stored)
    assert spent <= mean_bits * count < spent + 6 * max(weight.codes.size for weight in stored)
    assert {rule.whole_bits for rule, _ in _ranked(training)} == {weight.encoding.bits for weight in stored}


def _ranked(training: QuantizerTraining):
    return [(q.rule, weight) for q, weight in training.pairs if isinstance(q.rule, RankedBits)]
