"""Corrections without training: rounding for the outputs, mean-free errors, equal ranges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kompakt.graph import Graph, equalize, fold_batch_norm, trace
from kompakt.quant import Quantizer, method
from kompakt.quant.attach import Choice, LayerChoice, attach, calibrate
from kompakt.quant.correct import channel_means, correct
from kompakt.quant.gptq import rounded_to_outputs

BATCH = torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(1))


class Small(nn.Module):
    """Convolutions of every kind that corrections meet: plain, strided, depthwise, grouped, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, stride=2, groups=8)
        self.group = nn.Conv2d(8, 12, 3, padding=2, dilation=2, groups=4)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(self.depth(x))
        x = torch.relu(self.group(x))
        return self.head(x.mean((2, 3)))


@pytest.fixture
def original() -> Graph:
    torch.manual_seed(0)
    model = Small()
    model.train()
    model(BATCH)  # batch-norm statistics that are not the initial ones
    return trace(model.eval(), BATCH[:1])


def quantized(original: Graph, bits: int = 3, name: str = "mmse") -> Graph:
    choice = LayerChoice(Choice(name, bits), None)
    graph = attach(original, {str(node.target): choice for node in original.layers()}, None)
    calibrate(graph, BATCH)
    return graph


def distance(graph: Graph, original: Graph, batch: Tensor = BATCH) -> float:
    with torch.no_grad():
        return float(((graph.module(batch) - original.module(batch)) ** 2).mean())


def test_rounding_for_the_outputs_brings_them_nearer(original):
    plain, rounded = quantized(original), quantized(original)
    correct(rounded, original, BATCH, "gptq", bias=False)
    fresh = torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    assert distance(rounded, original) < 0.5 * distance(plain, original)
    assert distance(rounded, original, fresh) < 0.7 * distance(plain, original, fresh)


def test_rounded_weights_are_levels_of_the_same_quantizer(original):
    graph = quantized(original)
    before = {k: v.clone() for k, v in graph.module.state_dict().items() if "step" in k}
    correct(graph, original, BATCH, "gptq", bias=False)
    for node in graph.layers():
        layer = graph.submodule(node)
        assert torch.equal(layer.weight, layer.parametrizations.weight.original)
    assert all(torch.equal(v, graph.module.state_dict()[k]) for k, v in before.items())


@pytest.mark.parametrize("name", ["mmse", "lq_nets"])
def test_uncorrelated_inputs_leave_nothing_to_make_up_for(name):
    """With XXᵀ diagonal, each weight goes to its nearest level."""
    layer = nn.Linear(16, 4, bias=False)
    x = torch.eye(16) * torch.linspace(0.5, 2, 16)
    quantizer = Quantizer(method(name), 2, True, 4)
    quantizer.fit(layer.weight.detach())
    quantizer.finish()
    quantizer.eval()
    found = rounded_to_outputs(layer, layer.weight.detach(), quantizer, x)
    assert torch.equal(found, quantizer(layer.weight.detach()))


def test_inputs_that_are_always_zero_are_harmless():
    layer = nn.Linear(6, 3)
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    x[:, 2] = 0
    quantizer = Quantizer(method("mmse"), 4, True, 3)
    quantizer.fit(layer.weight.detach())
    found = rounded_to_outputs(layer, layer.weight.detach(), quantizer.eval(), x)
    assert torch.equal(found[:, 2], quantizer(layer.weight.detach())[:, 2])
    assert torch.isfinite(rounded_to_outputs(layer, layer.weight.detach(), quantizer, torch.zeros(9, 6))).all()


def test_tokens_are_so_many_features():
    layer = nn.Linear(6, 3)
    x = torch.randn(10, 5, 6, generator=torch.Generator().manual_seed(0))
    quantizer = Quantizer(method("mmse"), 3, True, 3)
    quantizer.fit(layer.weight.detach())
    found, flat = (rounded_to_outputs(layer, layer.weight.detach(), quantizer.eval(), y) for y in (x, x.flatten(0, 1)))
    assert torch.equal(found, flat)


@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_every_channel_has_the_mean_of_the_float_network(original, rounding):
    graph = quantized(original, 2)
    correct(graph, original, BATCH, rounding, bias=True)
    with torch.no_grad():
        found, expected = channel_means(graph.module(BATCH)), channel_means(original.module(BATCH))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_progress_names_every_layer(original):
    seen = []
    correct(quantized(original), original, BATCH, "nearest", True, lambda *record: seen.append(record))
    assert seen == [("stem", 0, 4), ("depth", 1, 4), ("group", 2, 4), ("head", 3, 4)]


def test_equalized_networks_compute_the_same_with_equal_ranges(original):
    folded = fold_batch_norm(original)
    equal = equalize(folded)
    with torch.no_grad():
        torch.testing.assert_close(equal.module(BATCH), original.module(BATCH), rtol=1e-4, atol=1e-5)
    stem, depth = equal.module.get_submodule("stem"), equal.module.get_submodule("depth")
    out, into = stem.weight.flatten(1).abs().amax(1), depth.weight.flatten(1).abs().amax(1)
    torch.testing.assert_close(out, into, rtol=0.05, atol=0)


def test_unequal_ranges_are_what_equalization_mends(original):
    """Card-free fact: per-tensor grids lose channels that are small in one layer and large in the next."""
    folded = fold_batch_norm(original)
    spread = torch.logspace(-1.5, 1.5, 8)
    stem, depth = folded.module.get_submodule("stem"), folded.module.get_submodule("depth")
    with torch.no_grad():
        stem.weight.mul_(spread.reshape(-1, 1, 1, 1))
        stem.bias.mul_(spread)
        depth.weight.div_(spread.reshape(-1, 1, 1, 1))
    plain, mended = quantized(folded, 4, "lsq"), quantized(equalize(folded), 4, "lsq")
    assert distance(mended, original) < 0.2 * distance(plain, original)


def test_layers_whose_result_is_used_twice_are_no_pair():
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = torch.relu(self.a(x))
            return self.b(y) + y

    graph = trace(Residual().eval(), BATCH[:1])
    before = graph.module.state_dict()
    after = equalize(graph).module.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
