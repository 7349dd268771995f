"""Quantizers on a graph: where slots go, that training reaches every part of them, that arguments are left alone."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kompakt._core.errors import GraphError, QuantizerError, RecipeError
from kompakt.graph import Graph, trace
from kompakt.quant import ActivationSlot
from kompakt.quant.attach import Choice, LayerChoice, attach, calibrate, is_nonnegative, quantizers
from kompakt.zoo import DigitsNet, ResNetCifar
from support.nets import NETS, build

LSQ = LayerChoice(Choice("lsq", 3), Choice("lsq", 3))
LQ = LayerChoice(Choice("lq_nets", 2), Choice("lq_nets", 2))


def names(graph: Graph) -> list[str]:
    return [str(node.target) for node in graph.layers()]


def attached(net: nn.Module, x: torch.Tensor, inner: LayerChoice, residual: Choice | None = None) -> Graph:
    """Ends in 8-bit lsq, `inner` between, fitted to x."""
    graph = trace(net, x)
    ends = LayerChoice(Choice("lsq", 8), Choice("lsq", 8))
    layers = names(graph)
    graph = attach(graph, {n: ends if n in (layers[0], layers[-1]) else inner for n in layers}, residual)
    calibrate(graph, x)
    return graph


POSITIVE_NETS = [name for name in NETS if name not in ("signed", "bn_before_conv")]


@pytest.mark.parametrize(
    ("name", "inner"), [(n, LSQ) for n in NETS] + [(n, LQ) for n in POSITIVE_NETS], ids=lambda v: str(v)[:40]
)
def test_training_reaches_every_parameter(name, inner):
    """The captured graph is what is trained: every parameter gets a gradient, moves, and changes the output."""
    net, x = build(name)
    graph = attached(net, x, inner, Choice("lsq", 8))
    module = graph.module.train()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.eval()  # four samples have no statistics worth learning; the constant channel stays constant
    F.cross_entropy(module(x), torch.arange(4)).backward()
    without = [key for key, p in module.named_parameters() if p.grad is None]
    assert not without
    expected = {key for key, _ in module.named_parameters() if "step" in key}
    moved = {key for key, p in module.named_parameters() if "step" in key and p.grad.abs().sum() > 0}
    assert len(moved) >= 0.7 * len(expected), f"no gradient in {expected - moved}"
    before = module(x).detach()
    with torch.no_grad():
        for key, p in module.named_parameters():
            if "slots" in key:
                p.mul_(1.5)
    assert not torch.equal(module(x), before), "the slots in the graph are not the ones that are trained"


def test_the_graph_that_came_in_stays_float():
    net, x = build("identity")
    graph = trace(net, x)
    code, state = graph.module.code, {k: v.clone() for k, v in graph.module.state_dict().items()}
    attached_graph = attach(graph, dict.fromkeys(names(graph), LSQ), Choice("lsq", 8))
    calibrate(attached_graph, x)
    assert graph.module.code == code
    assert all(torch.equal(v, graph.module.state_dict()[k]) for k, v in state.items())
    assert not list(quantizers(graph))


def test_a_pool_behind_the_last_layer_averages_floats():
    """Codes of a map that holds the result cost a classifier 1.3 points; a pool before a layer reads codes."""
    ends = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    inside = nn.Sequential(*ends, nn.Linear(4, 3))
    for net, expected in ((ends, 1), (inside, 3)):
        graph = trace(net, torch.zeros(2, 2, 6, 6))
        graph = attach(graph, dict.fromkeys(names(graph), LSQ), Choice("lsq", 8))
        assert sum(isinstance(module, ActivationSlot) for module in graph.module.modules()) == expected


@pytest.mark.parametrize("keep_sums", [False, True])
def test_rounding_is_that_of_shifts_only_where_shifts_make_codes(keep_sums):
    """Elsewhere codes are made from floats by one multiplication, not by a list of thresholds in the file."""
    net, x = build("identity")
    layer = LayerChoice(Choice("shift_channel", 8), Choice("shift", 8))
    graph = trace(net, x)
    graph = attach(graph, dict.fromkeys(names(graph), layer), Choice("shift", 8), keep_sums)
    slots = [module for module in graph.module.modules() if isinstance(module, ActivationSlot)]
    assert {slot.quantizer.grid.half_up for slot in slots} == ({False, True} if keep_sums else {False})


def test_layers_left_out_stay_float():
    net, x = build("identity")
    graph = trace(net, x)
    first = names(graph)[1]
    graph = attach(graph, {first: LayerChoice(Choice("lsq", 4), None)}, None)
    assert len(list(quantizers(graph))) == 1
    assert "slots" not in dict(graph.module.named_children())


def test_readers_of_one_value_share_a_slot_where_their_choices_agree():
    net, x = build("projection")
    graph = trace(net, x)
    shared = attach(graph, dict.fromkeys(names(graph), LSQ), None)
    sources = [node.args[0] for node in shared.nodes if shared.kind(node).op == "slot"]
    assert len(sources) == len(set(sources))
    other = dict.fromkeys(names(graph), LSQ)
    projection = next(n for n in names(graph) if "projection" in n)
    other[projection] = LayerChoice(Choice("lsq", 3), Choice("lsq", 5))
    split = attach(graph, other, None)
    count = sum(shared.kind(node).op == "slot" for node in shared.nodes)
    assert sum(split.kind(node).op == "slot" for node in split.nodes) == count + 1


def test_stored_values_of_a_residual_net_are_quantized_once_for_all_readers():
    graph = trace(ResNetCifar(8), torch.zeros(2, 3, 32, 32))
    graph = attach(graph, dict.fromkeys(names(graph), LSQ), Choice("lsq", 8))
    stores = [node for node in graph.nodes if str(node.target).endswith("_store")]
    assert len(stores) == 4, "the stem's and two blocks' outputs that a shortcut reads, and what the pool reads"
    for store in stores:
        assert list(store.args[0].users) == [store], "nobody may read the value around its slot"


def test_slot_names_do_not_depend_on_the_order_of_choices():
    graph = trace(DigitsNet(4), torch.zeros(2, 1, 8, 8))
    forward = attach(graph, dict.fromkeys(names(graph), LSQ), None)
    backward = attach(graph, dict.fromkeys(reversed(names(graph)), LSQ), None)
    assert set(forward.module.state_dict()) == set(backward.module.state_dict())


def test_calibration_goes_through_the_slots_before():
    """The second slot is fitted to values that went through the first."""
    net = nn.Sequential(nn.ReLU(), nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(), nn.Conv2d(1, 1, 1, bias=False))
    with torch.no_grad():
        net[1].weight.fill_(1.0)
    x = torch.rand(8, 1, 4, 4)
    graph = attach(trace(net, x), {"1": LSQ, "3": LSQ}, None)
    calibrate(graph, x)
    slots = {node.name: graph.submodule(node) for node in graph.nodes if graph.kind(node).op == "slot"}
    first, second = slots.values()
    seen = first.quantizer(x.clamp_min(0)) * graph.submodule(graph.layers()[0]).weight.item()
    second.quantizer.fit(seen.detach())
    again = second.quantizer.rule.step.item()
    calibrate(graph, x)
    assert second.quantizer.rule.step.item() == pytest.approx(again, rel=1e-5)
    assert not any(slot.calibrating for slot in slots.values())


def test_an_error_in_calibration_names_the_slot_and_ends_it():
    net, x = build("identity")
    graph = attach(trace(net, x), dict.fromkeys(names(trace(net, x)), LSQ), None)
    x[0, 0, 0, 0] = torch.nan
    with pytest.raises(QuantizerError, match=r"body_0_0_0_input: cannot fit .* NaN"):
        calibrate(graph, x)
    assert not any(m.calibrating for m in graph.module.modules() if isinstance(m, ActivationSlot))


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (4, 1, 8, 8), (4, 3, 9, 8), (3, 8, 8)])
def test_calibration_values_of_another_shape(shape):
    net, x = build("identity")
    graph = attach(trace(net, x), {"head": LSQ}, None)
    with pytest.raises(QuantizerError, match=r"shape \(N, 3, 8, 8\), N >= 1, got"):
        calibrate(graph, torch.zeros(shape))


def test_the_network_input_is_stored_where_a_pool_reads_it():
    net = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 2, 1))
    graph = attach(trace(net, torch.zeros(1, 3, 4, 4)), {"1": LSQ}, Choice("lsq", 8))
    store = next(node for node in graph.nodes if str(node.target).endswith("_store"))
    assert store.args[0] is graph.input
    assert graph.submodule(store).quantizer.signed


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (nn.ReLU(), True),
        (nn.ReLU6(), True),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(), nn.AvgPool2d(2), nn.Flatten()), True),
        (nn.Hardtanh(), False),
        (nn.Identity(), False),
        (nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)), False),
    ],
)
def test_values_known_to_be_positive(then, expected):
    graph = trace(nn.Sequential(nn.Conv2d(3, 4, 1), then), torch.zeros(2, 3, 8, 8))
    assert is_nonnegative(graph, graph.output) is expected


@pytest.mark.parametrize(
    ("choices", "error", "words"),
    [
        ({"nope": LSQ}, GraphError, ("nope: no such layer", "body.0.0.0")),
        ({"head": LayerChoice(Choice("lsk", 3), None)}, RecipeError, ("'lsk'", "did you mean 'lsq'")),
        ({"head": LayerChoice(Choice("lsq", 9), None)}, QuantizerError, ("head.weight: ", "bits", "got 9")),
        ({"head": LayerChoice(Choice("lq_nets", 0), None)}, QuantizerError, ("head.weight: ", "(1, 2, 3, 4)", "got 0")),
        ({"body.0.0.0": LQ}, QuantizerError, ("body_0_0_0_input: ", "never negative", "use 'lsq'")),
        ({"head": LayerChoice(None, Choice("tnt", 2))}, QuantizerError, ("head_input: ", "weights only", "use 'lsq'")),
    ],
)
def test_impossible_choices_name_the_layer(choices, error, words):
    net, x = build("identity")
    graph = trace(net, x)
    with pytest.raises(error) as caught:
        attach(graph, choices, None)
    assert all(word in str(caught.value) for word in words), caught.value


def test_weights_that_are_not_numbers_name_the_layer():
    net, x = build("identity")
    graph = trace(net, x)
    with torch.no_grad():
        graph.module.head.weight[0, 0] = torch.inf
    with pytest.raises(QuantizerError, match=r"head\.weight: .*Inf"):
        attach(graph, {"head": LSQ}, None)


def test_a_second_quantizer_on_a_weight_is_refused():
    net, x = build("identity")
    graph = attach(trace(net, x), {"head": LSQ}, None)
    with pytest.raises(QuantizerError, match=r"head\.weight: already has a parametrization"):
        attach(graph, {"head": LSQ}, None)
