"""The joint search of power-of-two steps: what it minimises, on what inputs, and where quantizers sit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kompakt._core.errors import QuantizerError, RecipeError
from kompakt.graph import Graph, fold_batch_norm, trace
from kompakt.ops.steps import no_clip_step, power_of_two_step
from kompakt.ops.uniform import nearest_whole
from kompakt.quant import ActivationSlot
from kompakt.quant.attach import Choice, LayerChoice, attach, calibrate
from kompakt.quant.joint_shifts import round_biases, search_shifts
from kompakt.strategy import load_recipe, prepare
from support.nets import build


def prepared(net: nn.Module, x: torch.Tensor, bits: int = 8, method: str = "shift", search: bool = True):
    """The net with slots at every module's output, calibrated, searched if wanted; and the float graph."""
    original = fold_batch_norm(trace(net, x[:2]))
    choice = Choice(method, bits)
    layers = [str(node.target) for node in original.layers()]
    graph = attach(original, {name: LayerChoice(choice, choice) for name in layers}, choice, keep_sums=True)
    calibrate(graph, x)
    if search:
        search_shifts(graph, original, x)
        round_biases(graph)
    return graph.module.eval(), original.module.eval()


def error(module: nn.Module, original: nn.Module, x: torch.Tensor) -> float:
    with torch.no_grad():
        return float((module(x) - original(x)).square().mean())


def slots(module: nn.Module) -> list[ActivationSlot]:
    return [part for part in module.modules() if isinstance(part, ActivationSlot)]


def block(channels: int, seed: int) -> tuple[nn.Module, torch.Tensor]:
    """A residual block between two layers, and its inputs."""
    torch.manual_seed(seed)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.one = nn.Linear(channels, channels), nn.Linear(channels, channels)
            self.two, self.head = nn.Linear(channels, channels), nn.Linear(channels, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x).relu()
            return self.head((self.two(self.one(x).relu()) + x).relu())

    return Block(), torch.randn(256, channels)


@pytest.mark.parametrize("half_up", [False, True])
def test_rounding(half_up):
    x = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999997, -0.50000006, 8388607.5])
    expected = [-2, -1, 0, 1, 2, 3, 0, -1, 8388608] if half_up else [-2, -2, 0, 0, 2, 2, 0, -1, 8388608]
    assert nearest_whole(x, half_up).tolist() == expected


def test_steps_are_powers_of_two_of_least_error():
    torch.manual_seed(0)
    x = torch.randn(5, 400) * torch.tensor([1e-3, 0.1, 1, 3, 100])[:, None]
    step, widest = power_of_two_step(x, -8, 7), no_clip_step(x, -8, 7)
    for row, found, start in zip(x, step, widest, strict=True):
        assert (row / start).abs().max() <= 8
        assert (row / (start / 2)).max() > 7 or (row / (start / 2)).min() < -8
        errors = {
            k: ((row / s).round().clamp(-8, 7) * s - row).square().sum() for k in range(5) for s in [start * 0.5**k]
        }
        assert found == start * 0.5 ** min(errors, key=errors.get)
    assert no_clip_step(torch.tensor([[14.0]]), -8, 7) == 2.0


def test_only_outputs_of_modules_are_quantized():
    """A block of two layers, a projection and a shortcut has two outputs; naive slots behind every layer are more."""
    net, x = build("projection")
    module, _ = prepared(net, x)
    assert len(slots(module)) == 1 + 1 + 2 + 2 + 1  # input, stem, two blocks, the pool in front of the last layer
    layers = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 7
    assert not any(isinstance(m, nn.BatchNorm2d) for m in module.modules())


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_unified_modules_lose_less_than_slots_behind_every_operation(bits):
    better = 0
    for seed in range(6):
        net, x = block(32, seed)
        unified, original = prepared(net, x, bits)
        once = error(unified, original, x)

        def coded(values: torch.Tensor) -> torch.Tensor:
            low, high = (0, 2**bits - 1) if values.min() >= 0 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            step = power_of_two_step(values.reshape(1, -1), low, high)
            return nearest_whole(values / step, True).clamp(low, high) * step

        with torch.no_grad():
            h = coded(coded(unified.stem(unified.slots.stem_input(x))).relu())
            y = coded(coded(unified.two(coded(coded(unified.one(h)).relu()))) + h)
            often = float((unified.head(coded(y.relu())) - original(x)).square().mean())
        better += once < often
    assert better >= 5


@pytest.mark.parametrize("bits", [4, 6])
def test_the_search_is_better_than_steps_that_clip_nothing(bits):
    searched = unclipped = 0.0
    for seed in range(3):
        net, x = block(24, seed)
        module, original = prepared(net, x, bits)
        widest, _ = prepared(net, x, bits, search=False)
        for layer in (widest.stem, widest.one, widest.two, widest.head):
            quantizer = layer.parametrizations.weight[0].quantizer
            quantizer.rule.criterion = no_clip_step
            quantizer.fit(layer.parametrizations.weight.original)
        for slot in slots(widest):
            slot.quantizer.rule.criterion = no_clip_step
        calibrate(Graph(widest, x[:2]), x)
        searched += error(module, original, x)
        unclipped += error(widest, original, x)
    assert searched < unclipped


def test_a_module_alone_has_the_least_error_of_all_its_steps():
    """One layer, one output: no pair of steps of the search is better, by trying all."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 2))
    x = torch.randn(64, 12)
    module, original = prepared(net, x, 4)
    first, quantizer = module.get_submodule("0"), module.get_submodule("0").parametrizations.weight[0].quantizer
    before, after = (slot.quantizer for slot in slots(module))
    target = torch.relu(original.get_submodule("0")(x))

    def loss(weight_step: torch.Tensor, output_step: torch.Tensor) -> float:
        quantizer.rule.step.copy_(weight_step)
        after.rule.step.copy_(output_step)
        return float((after(torch.relu(first(before(x)))) - target).square().sum())

    with torch.no_grad():
        chosen = quantizer.rule.step.clone(), after.rule.step.clone()
        best = loss(*chosen)
        for i in range(-1, 6):
            for j in range(-1, 6):
                coarse = no_clip_step(first.parametrizations.weight.original.reshape(1, -1), -8, 7)
                wide = no_clip_step(target.reshape(1, -1), 0, 15)
                assert best <= loss(coarse * 0.5**i, wide * 0.5**j) * 1.001 + 1e-4 * target.square().sum()


class TwoSums(nn.Module):
    """Two layers whose sums are added, in place if wanted, as many networks are written."""

    def __init__(self, in_place: bool = False) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(12, 7), nn.Linear(12, 7), nn.Linear(7, 2)
        self.in_place = in_place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.one(x)
        if self.in_place:
            y += self.two(x)
            return self.head(nn.functional.relu(y, inplace=True))
        return self.head((y + self.two(x)).relu())


def test_layers_that_are_added_are_searched_with_the_steps_of_each_other():
    torch.manual_seed(1)
    net, x = TwoSums(), torch.randn(64, 12)
    module, original = prepared(net, x, 4)
    before, after = (slot.quantizer for slot in slots(module))
    with torch.no_grad():
        target = torch.relu(original.one(x) + original.two(x))
        first, last = module.one(before(x)), module.two
        rule = last.parametrizations.weight[0].quantizer.rule
        chosen, losses = rule.step.clone(), {}
        for halvings in range(5):
            rule.step.copy_(no_clip_step(last.parametrizations.weight.original.reshape(1, -1), -8, 7) * 0.5**halvings)
            losses[float(rule.step)] = float((after(torch.relu(first + last(before(x)))) - target).square().sum())
    assert float(chosen) == min(losses, key=losses.get)


def test_values_that_a_network_changes_in_place_stay_what_they_were():
    found = []
    for in_place in (False, True):
        torch.manual_seed(1)
        net, x = TwoSums(in_place), torch.randn(64, 12)
        found.append(prepared(net, x, 4)[0].state_dict())
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())


def test_steps_per_channel_serve_channels_of_different_size():
    net, x = block(24, 0)
    with torch.no_grad():
        net.head.weight.mul_(torch.tensor([[1e-3], [1.0], [1.0]]))
    whole, original = prepared(net, x, 4, "shift")
    each, _ = prepared(net, x, 4, "shift_channel")
    assert len(each.head.parametrizations.weight[0].quantizer.rule.step) == 3
    with torch.no_grad():
        losses = [float((module(x)[:, 0] - original(x)[:, 0]).square().mean()) for module in (each, whole)]
    assert losses[0] < losses[1] / 4


def test_biases_are_whole_units_of_the_sums():
    net, x = build("identity")
    module, _ = prepared(net, x, 8, "shift_channel")
    head = module.head
    unit = head.parametrizations.weight[0].quantizer.rule.step * slots(module)[-1].quantizer.rule.step
    whole = head.bias / unit
    assert torch.equal(whole, whole.round())


def test_dead_channels_have_finite_small_shifts():
    net, x = build("linear")
    with torch.no_grad():
        net[3].weight[:5] = 0
        net[5].bias.fill_(1000.0)
    small = prepare(net, "int8-shift", x[:2], x).finish()
    assert np.isfinite(small(x.numpy())).all()
    assert "requantize" in {node.op for node in small.program.nodes}


def test_values_that_are_no_numbers_are_refused():
    net, x = block(8, 0)
    graph = trace(net, x[:2])
    choice = Choice("shift", 8)
    names = [str(node.target) for node in graph.layers()]
    quantized = attach(graph, {name: LayerChoice(choice, choice) for name in names}, choice, keep_sums=True)
    with torch.no_grad():
        graph.module.one.bias[0] = torch.inf
    with pytest.raises(QuantizerError, match=r"two_input: cannot search steps for NaN or Inf"):
        search_shifts(quantized, graph, x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stage.method": "mmse"}, r'"shift" needs steps that are powers of two \(shift, shift_channel\), got .mmse'),
        ({"stage.edge_method": "lsq"}, "got 'lsq'"),
        ({"stage.activation_bits": "float"}, 'needs bits for weights and activations everywhere, got "float"'),
        ({"stage.hard_share": 0.5}, "got 'mmse_dual'"),
        ({"stage.scale_correction": True}, "keeps its powers of two"),
        ({"train.epochs": 3}, "set train.epochs = 0, got 3"),
        ({"stage.requantize": "shifts"}, "'scale' or 'shift'"),
    ],
)
def test_recipes_that_cannot_be(settings, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("int8-shift", settings)
