"""Calibrated steps in training: they follow the weight, by their own criterion."""

from __future__ import annotations

import pytest
import torch

from kompakt.graph import trace
from kompakt.ops.steps import largest_step, least_squares_step
from kompakt.quant import METHODS, Quantizer, QuantizerTraining
from kompakt.quant.attach import Choice, LayerChoice, attach
from kompakt.zoo import DigitsNet

CRITERIA = {"min_max": largest_step, "mmse": least_squares_step}


@pytest.mark.parametrize("name", CRITERIA)
def test_steps_are_the_best_for_the_weight_as_it_is_now(name):
    graph = trace(DigitsNet(), torch.zeros(2, 1, 8, 8))
    layer = str(graph.layers()[0].target)
    graph = attach(graph, {layer: LayerChoice(Choice(name, 8), None)}, None)
    training = QuantizerTraining(graph.module)
    (quantizer, weight), *_ = training.pairs
    before = quantizer.rule.step.clone()
    with torch.no_grad():
        weight.mul_(torch.linspace(1, 3, len(weight))[:, None, None, None])
    training.after_step()
    expected = CRITERIA[name](weight.detach().flatten(1), *quantizer.grid.limits)
    torch.testing.assert_close(quantizer.rule.step, expected, rtol=0, atol=0)
    assert quantizer.rule.step[-1] > 2.5 * before[-1]


def test_steps_of_activations_stay():
    quantizer = Quantizer(METHODS["min_max"], 8, signed=False, sample_axis=True).train()
    quantizer.fit(torch.rand(4, 3))
    before = quantizer.rule.step.clone()
    quantizer(100 * torch.rand(4, 3))
    assert torch.equal(quantizer.rule.step, before)
