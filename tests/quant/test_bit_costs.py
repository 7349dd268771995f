"""Shares of the cost of a bit: by count, multiply-adds and bytes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kompakt.graph import trace
from kompakt.quant import QuantizerTraining
from kompakt.quant.attach import attach, calibrate
from kompakt.quant.bit_costs import share_out
from kompakt.quant.learned_bits import STRENGTH, LearnedBits
from support.quantized import EIGHT, layer

LEARNED = layer("bit_pruning8", "bit_pruning8")


@pytest.fixture
def graph():
    """A convolution of many products and few weights, a linear layer of the opposite kind; ends of 8 bits."""
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(8),
        nn.Flatten(), nn.Linear(4, 300), nn.ReLU(), nn.Linear(300, 2),
    ).eval()  # fmt: skip
    x = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    graph = attach(trace(net, x), {"0": EIGHT, "2": LEARNED, "6": LEARNED, "8": EIGHT}, None)
    calibrate(graph, x)
    return graph


def shares(graph) -> list[float]:
    """Of the convolution's weights, the linear layer's weights, then of what both read."""
    pairs = [(q, w) for q, w in QuantizerTraining(graph.module).pairs if isinstance(q.rule, LearnedBits)]
    order = sorted(pairs, key=lambda pair: (pair[1] is None, -1 if pair[1] is None else -pair[1].dim()))
    return [quantizer.rule.share for quantizer, _ in order]


@pytest.mark.parametrize(
    ("criterion", "costs"),
    [
        ("bits", (1, 1, 1, 1)),
        ("macs", (4 * 4 * 9 * 64, 4 * 300, 4 * 4 * 9 * 64, 4 * 300)),
        ("bytes", (4 * 4 * 9, 4 * 300, 4 * 64, 4)),
    ],
)
def test_shares_are_in_proportion_and_one_on_average(graph, criterion, costs):
    share_out(graph, criterion, 4.0)
    mean = sum(costs) / len(costs)
    assert sorted(shares(graph)) == pytest.approx(sorted(cost / mean for cost in costs))
    assert shares(graph)[:2] == pytest.approx([cost / mean for cost in costs[:2]])
    assert QuantizerTraining(graph.module).penalty().item() == pytest.approx(STRENGTH * 8 * 4)


def test_convolutions_lose_more_bits_by_products_and_linear_layers_by_bytes(graph):
    """Card, test 6, of the term alone."""
    found = {}
    for criterion in ("macs", "bytes"):
        share_out(graph, criterion, 4.0)
        training = QuantizerTraining(graph.module)
        graph.module.zero_grad()
        training.penalty().backward()
        weights = [(w.dim(), q.rule.pace.grad.item()) for q, w in training.pairs
                   if w is not None and isinstance(q.rule, LearnedBits)]  # fmt: skip
        found[criterion] = dict(weights)
    assert found["macs"][4] > found["macs"][2]
    assert found["bytes"][2] > found["bytes"][4]


def test_a_network_without_learned_bits_has_nothing_to_share():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    graph = attach(trace(net, torch.zeros(2, 3)), {"0": EIGHT}, None)
    share_out(graph, "macs", 4.0)
    assert QuantizerTraining(graph.module).penalty() is None
