"""Tracing: every supported form gives a graph that computes what the model computes, and the model is left alone."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kompakt._core.errors import GraphError
from kompakt.deploy import lower
from kompakt.engine.reference import run
from kompakt.graph import Graph, Kind, trace
from kompakt.zoo import DigitsNet, ResNetCifar
from support.nets import NETS, build


class Form(nn.Module):
    """One convolution (3 -> 4), then whatever a test asks for."""

    def __init__(self, then) -> None:
        super().__init__()
        self.conv, self.then = nn.Conv2d(3, 4, 3, padding=1), then

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self.conv(x))


def traced(model: nn.Module, *shape: int) -> Graph:
    """Trace, and compare with the model on a random batch of another size than the example's."""
    graph = trace(model, torch.zeros(2, *shape))
    x = torch.randn(5, *shape)
    with torch.no_grad():
        torch.testing.assert_close(graph.module(x), model.eval()(x), rtol=1e-6, atol=1e-6)
    return graph


def ops(graph: Graph) -> list[str]:
    return [graph.kind(node).op for node in graph.nodes]


@pytest.mark.parametrize("name", NETS)
def test_small_nets_trace_to_the_same_function(name):
    net, x = build(name)
    graph = traced(net, *x.shape[1:])
    layers = {path for path, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    assert {str(node.target) for node in graph.layers()} == layers
    assert all("shape" in node.meta for node in graph.nodes)


@pytest.mark.parametrize(("projection", "adds", "pads"), [(False, 9, 4), (True, 9, 0)])
def test_resnet20_traces_with_both_shortcuts(projection, adds, pads):
    graph = traced(ResNetCifar(20, projection=projection), 3, 32, 32)
    assert ops(graph).count("add") == adds
    assert ops(graph).count("shift_pad") == pads
    assert len(graph.layers()) == 20 + 2 * projection


def test_a_model_that_is_one_layer():
    graph = traced(nn.Linear(6, 3), 6)
    assert ops(graph) == ["linear"]


def test_digits_net_traces():
    graph = traced(DigitsNet(4), 1, 8, 8)
    assert ops(graph).count("conv2d") == 4
    assert graph.kind(graph.output).op == "linear"


@pytest.mark.parametrize(
    "then",
    [
        lambda x: x.flatten(1),
        lambda x: torch.flatten(x, 1),
        lambda x: torch.flatten(input=x, start_dim=1),
        lambda x: x.view(x.size(0), -1),
        lambda x: x.view(x.shape[0], -1),
        lambda x: x.view(-1, 256),
        lambda x: x.view((-1, 256)),
        lambda x: x.reshape(x.size(0), 256),
        lambda x: x.reshape([x.size(0), 256]),
        lambda x: torch.reshape(x, (x.size()[0], -1)),
        lambda x: x.view(x.size(0), x.size(1) * x.size(2) * x.size(3)),
        nn.Flatten(),
    ],
)
def test_every_spelling_of_flatten(then):
    graph = traced(Form(then), 3, 8, 8)
    assert ops(graph) == ["conv2d", "flatten"]


@pytest.mark.parametrize(
    ("then", "op", "attrs"),
    [
        (lambda x: F.max_pool2d(x, 2), "max_pool", {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}),
        (lambda x: F.max_pool2d(input=x, kernel_size=3, stride=2, padding=1), "max_pool",
         {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}),
        (nn.MaxPool2d((2, 4)), "max_pool", {"kernel": (2, 4), "stride": (2, 4), "padding": (0, 0)}),
        (lambda x: F.avg_pool2d(x, 2, 1), "avg_pool", {"kernel": (2, 2), "stride": (1, 1), "padding": (0, 0)}),
        (nn.AvgPool2d(3, padding=1), "avg_pool", {"kernel": (3, 3), "stride": (3, 3), "padding": (1, 1)}),
        (nn.AdaptiveAvgPool2d((1, 1)), "avg_pool", {"kernel": None}),
        (lambda x: F.adaptive_avg_pool2d(x, 1), "avg_pool", {"kernel": None}),
        (lambda x: x.mean((2, 3), keepdim=True), "avg_pool", {"kernel": None, "flatten": False}),
        (lambda x: torch.mean(x, dim=[-1, -2]), "avg_pool", {"kernel": None, "flatten": True}),
    ],
)  # fmt: skip
def test_every_spelling_of_pooling(then, op, attrs):
    graph = traced(Form(then), 3, 8, 8)
    assert graph.kind(graph.output) == Kind(op, attrs)


@pytest.mark.parametrize(
    ("then", "limits"),
    [
        (F.relu, (0.0, float("inf"))),
        (torch.relu, (0.0, float("inf"))),
        (lambda x: x.relu(), (0.0, float("inf"))),
        (lambda x: F.relu(x, inplace=True), (0.0, float("inf"))),
        (nn.ReLU(inplace=True), (0.0, float("inf"))),
        (nn.ReLU6(), (0.0, 6.0)),
        (F.relu6, (0.0, 6.0)),
        (nn.Hardtanh(-2, 3), (-2.0, 3.0)),
        (lambda x: x.clamp(min=0), (0.0, float("inf"))),
        (lambda x: torch.clamp(x, -1, 2), (-1.0, 2.0)),
    ],
)
def test_every_spelling_of_clamp(then, limits):
    graph = traced(Form(then), 3, 8, 8)
    kind = graph.kind(graph.output)
    assert (kind.op, kind.attrs["lo"], kind.attrs["hi"]) == ("clamp", *limits)


def in_place_add(x: Tensor) -> Tensor:
    y = F.relu(x)
    y += x
    return y


@pytest.mark.parametrize(
    "then",
    [
        in_place_add,
        lambda x: F.relu(x).add_(x),
        lambda x: torch.add(x, F.relu(x)),
        lambda x: torch.add(input=F.relu(x), other=x),
        lambda x: x + x,
    ],
)
def test_every_spelling_of_addition(then):
    graph = traced(Form(then), 3, 8, 8)
    assert graph.kind(graph.output).op == "add"


def test_operations_in_place_become_ordinary_ones():
    graph = traced(Form(nn.Sequential(nn.ReLU(inplace=True), nn.Identity())), 3, 8, 8)
    x = torch.randn(1, 3, 8, 8)
    before = x.clone()
    graph.module(x)
    assert torch.equal(x, before)
    assert not any(getattr(module, "inplace", False) for module in graph.module.modules())


def test_the_model_is_not_modified():
    model = Form(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5))).train()
    model.then[0].eval()  # a frozen batch-norm inside a training model
    modes = [m.training for m in model.modules()]
    state = copy.deepcopy(model.state_dict())
    graph = trace(model, torch.randn(2, 3, 8, 8))
    assert [m.training for m in model.modules()] == modes
    assert model.then[1].inplace
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with torch.no_grad():
        graph.module.conv.weight.zero_()
    assert torch.equal(state["conv.weight"], model.conv.weight)


def test_tracing_does_not_touch_the_random_state():
    torch.manual_seed(3)
    trace(DigitsNet(4), torch.zeros(1, 1, 8, 8))
    found = torch.rand(1)
    torch.manual_seed(3)
    DigitsNet(4)
    assert torch.equal(found, torch.rand(1))


def test_copies_are_independent():
    graph = trace(DigitsNet(4), torch.zeros(1, 1, 8, 8))
    other = graph.copy()
    with torch.no_grad():
        other.module.classifier.weight.zero_()
    assert graph.module.classifier.weight.abs().sum() > 0
    assert [n.meta["shape"] for n in other.nodes] == [n.meta["shape"] for n in graph.nodes]


def test_refresh_keeps_the_mode_of_every_module():
    graph = trace(DigitsNet(4), torch.zeros(1, 1, 8, 8))
    graph.module.train()
    graph.submodule(graph.nodes[1]).eval()
    modes = [m.training for m in graph.module.modules()]
    graph.refresh()
    assert [m.training for m in graph.module.modules()] == modes


class Slopes(nn.Module):
    """A factor for every channel, written both ways, behind a product-sum and behind a ReLU."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.conv, self.factor = nn.Conv2d(3, 4, 3, padding=1), nn.Parameter(torch.randn(shape))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.factor + torch.mul(self.factor, F.relu(x))


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1)])
def test_a_factor_for_every_channel_is_an_affine_map(shape):
    graph = traced(Slopes(*shape), 3, 8, 8)
    assert ops(graph) == ["conv2d", "scale_channels", "clamp", "scale_channels", "add"]
    assert len({id(p) for p in graph.module.parameters()}) == 3, "one parameter stays one"
    program, x = lower(graph), torch.randn(2, 3, 8, 8)
    assert sorted(node.op for node in program.nodes) == ["add", "affine", "affine", "affine", "clamp", "conv2d"]
    torch.testing.assert_close(torch.from_numpy(run(program, x.numpy())), graph.module(x).detach())


@pytest.mark.parametrize("shape", [(8, 8), (4, 8, 8), (1,), ()])
def test_other_factors_are_refused(shape):
    with pytest.raises(GraphError, match="not supported"):
        trace(Slopes(*shape), torch.zeros(2, 3, 8, 8))
