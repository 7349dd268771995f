"""Corrections without training: rounding for the outputs, mean-free errors, equal ranges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kompakt._core.errors import QuantizerError
from kompakt.graph import Graph, Parts, equalize, fold_batch_norm, trace
from kompakt.quant import Quantizer, adaround, method
from kompakt.quant.attach import Choice, LayerChoice, attach, calibrate
from kompakt.quant.correct import Corrections, channel_means, correct, fitting_scale
from kompakt.quant.gptq import rounded_to_outputs
from kompakt.quant.rows import ROWS, output_rows

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
    correct(rounded, original, BATCH, Corrections("gptq"))
    fresh = torch.randn(64, 3, 12, 12, generator=torch.Generator().manual_seed(2))
    assert distance(rounded, original) < 0.5 * distance(plain, original)
    assert distance(rounded, original, fresh) < 0.7 * distance(plain, original, fresh)


def test_rounded_weights_are_levels_of_the_same_quantizer(original):
    graph = quantized(original)
    before = {k: v.clone() for k, v in graph.module.state_dict().items() if "step" in k}
    correct(graph, original, BATCH, Corrections("gptq"))
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
    found = rounded_to_outputs(layer, layer.weight.detach(), quantizer, Parts((x,)))
    assert torch.equal(found, quantizer(layer.weight.detach()))


def test_rounding_is_that_of_the_slow_reference_which_inverts_anew_for_every_weight():
    """The largest input first: round its weight, then the best values of the weights that are left."""
    g = torch.Generator().manual_seed(3)
    layer = nn.Linear(12, 5)
    x = torch.randn(400, 12, generator=g) @ torch.randn(12, 12, generator=g)
    quantizer = Quantizer(method("mmse"), 3, signed=True, grains=5)
    quantizer.fit(layer.weight.detach())
    h = (x.T @ x).double()
    h += 0.01 * h.diagonal().mean() * torch.eye(12)
    w, free = layer.weight.detach().double(), list(range(12))
    for j in h.diagonal().argsort(descending=True).tolist():
        inverse = h[free][:, free].inverse()
        at = free.index(j)
        error = w[:, j] - quantizer(w.float()).detach().double()[:, j]
        w[:, free] -= error[:, None] * inverse[at] / inverse[at, at]
        free.remove(j)
    found = rounded_to_outputs(layer, layer.weight, quantizer, Parts((x,)))
    torch.testing.assert_close(found, w.float(), rtol=1e-5, atol=1e-6)


def test_rounding_for_centred_inputs_does_not_work_for_their_mean():
    """Card-free fact: the bias makes up for means, so what counts is the spread of the error."""
    layer = nn.Linear(24, 8, bias=False)
    torch.manual_seed(0)
    x = torch.randn(4000, 24) @ torch.randn(24, 24) * 0.3 + 30 * torch.rand(24)
    weight = torch.randn(8, 24)
    quantizer = Quantizer(method("mmse"), 3, True, 8)
    quantizer.fit(weight)
    spread = []
    for is_centred in (False, True):
        error = x @ (rounded_to_outputs(layer, weight, quantizer.eval(), Parts((x,)), None, is_centred) - weight).T
        spread.append(float((error - error.mean(0)).square().mean()))
    assert spread[1] < 0.8 * spread[0]


def test_rounding_for_the_float_outputs_undoes_what_the_layers_before_lost():
    layer = nn.Linear(16, 8, bias=False)
    torch.manual_seed(0)
    x = torch.relu(torch.randn(3000, 16) @ torch.randn(16, 16))
    lossy = 0.8 * x + 0.1 * x.roll(1, 1)
    weight, wanted = layer.weight.detach(), layer(x).detach()
    quantizer = Quantizer(method("mmse"), 4, True, 8)
    quantizer.fit(weight)
    own, undone = (rounded_to_outputs(layer, weight, quantizer.eval(), Parts((lossy,)), y) for y in (None, wanted))
    assert (lossy @ undone.T - wanted).square().mean() < 0.5 * (lossy @ own.T - wanted).square().mean()


def test_targets_that_the_weights_reach_change_nothing(original):
    layer, x = original.module.get_submodule("group"), torch.randn(8, 8, 6, 6)
    quantizer = Quantizer(method("mmse"), 4, True, 12)
    quantizer.fit(layer.weight.detach())
    wanted = output_rows(Parts((layer(x).detach(),)), ROWS)
    own, same = (
        rounded_to_outputs(layer, layer.weight, quantizer.eval(), Parts((x,)), y, is_centred=True)
        for y in (None, wanted)
    )
    assert torch.equal(own, same)


def test_inputs_that_are_always_zero_are_harmless():
    layer = nn.Linear(6, 3)
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    x[:, 2] = 0
    quantizer = Quantizer(method("mmse"), 4, True, 3)
    quantizer.fit(layer.weight.detach())
    found = rounded_to_outputs(layer, layer.weight.detach(), quantizer.eval(), Parts((x,)))
    assert torch.equal(found[:, 2], quantizer(layer.weight.detach())[:, 2])
    nothing = Parts((torch.zeros(9, 6),))
    assert torch.isfinite(rounded_to_outputs(layer, layer.weight.detach(), quantizer, nothing)).all()


def test_tokens_are_so_many_features():
    layer = nn.Linear(6, 3)
    x = torch.randn(10, 5, 6, generator=torch.Generator().manual_seed(0))
    quantizer = Quantizer(method("mmse"), 3, True, 3)
    quantizer.fit(layer.weight.detach())
    found, flat = (
        rounded_to_outputs(layer, layer.weight.detach(), quantizer.eval(), Parts((y,))) for y in (x, x.flatten(0, 1))
    )
    assert torch.equal(found, flat)


@pytest.mark.parametrize("rounding", ["nearest", "gptq"])
def test_every_channel_has_the_mean_of_the_float_network(original, rounding):
    graph = quantized(original, 2)
    correct(graph, original, BATCH, Corrections(rounding, bias=True))
    with torch.no_grad():
        found, expected = channel_means(Parts((graph.module(BATCH),))), channel_means(Parts((original.module(BATCH),)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_progress_names_every_layer(original):
    seen = []
    correct(quantized(original), original, BATCH, Corrections(bias=True), lambda *record: seen.append(record))
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


def test_learned_rounding_beats_the_nearest(original, monkeypatch):
    """With the bias corrected as in use; the quantized layer's inputs are those of the quantized layers before it."""
    monkeypatch.setattr(adaround, "STEPS", 400)
    found = {}
    for rounding in ("nearest", "adaround"):
        graph = quantized(original, 3)
        correct(graph, original, BATCH, Corrections(rounding, bias=True))
        found[rounding] = distance(graph, original)
    assert found["adaround"] < 0.8 * found["nearest"]


def test_scales_fit_the_outputs_and_keep_the_codes(original):
    graph, plain = quantized(original, 2), quantized(original, 2)
    layer, before = (g.module.get_submodule("stem") for g in (graph, plain))
    codes = before.parametrizations.weight[0].quantizer.encode(before.parametrizations.weight.original)[0]
    correct(graph, original, BATCH, Corrections(scale=True))
    slot = layer.parametrizations.weight
    assert (slot[0].quantizer.encode(slot.original)[0] == codes).mean() > 0.99
    with torch.no_grad():
        factor = fitting_scale(
            output_rows(Parts((layer(BATCH),)), 9999),
            output_rows(Parts((original.module.get_submodule("stem")(BATCH),)), 9999),
        )
    torch.testing.assert_close(factor, torch.ones_like(factor), rtol=1e-4, atol=0)
    assert distance(graph, original) < 0.9 * distance(plain, original)


def test_the_fitting_scale_is_the_least_squares_slope():
    generator = torch.Generator().manual_seed(0)
    y, noise = torch.randn(50, 3, generator=generator), 0.1 * torch.randn(50, 3, generator=generator)
    expected = y * torch.tensor([0.5, 2.0, 1.0]) + 7 + noise
    y[:, 2] = 4.0  # a dead channel
    found = fitting_scale(y, expected)
    for c in range(2):
        design = torch.stack([y[:, c], torch.ones(50)], 1)
        slope = torch.linalg.lstsq(design.double(), expected[:, c : c + 1].double()).solution[0, 0]
        torch.testing.assert_close(found[c], slope, rtol=1e-6, atol=0)
    assert found[2] == 1


def test_one_scale_for_all_channels_cannot_be_corrected(original):
    with pytest.raises(
        QuantizerError, match=r"stem\.weight: scale_correction needs one scale per output channel.*'lsq'"
    ):
        correct(quantized(original, 3, "lsq"), original, BATCH, Corrections(scale=True))


def test_learned_rounding_is_told_by_work(original):
    seen = []
    correct(quantized(original), original, BATCH, Corrections("gptq"), lambda *record: seen.append(record))
    assert [done for _, done, _ in seen] == [0, 8 * 27**2, 8 * 27**2 + 8 * 9**2, 8 * 27**2 + 8 * 9**2 + 12 * 18**2]
    assert {of for *_, of in seen} == {8 * 27**2 + 8 * 9**2 + 12 * 18**2 + 5 * 12**2}
