"""The lowered program, run by the NumPy reference, is the fake-quantized network.

Tolerance: torch divides by the step where the engine multiplies by its inverse, and applies batch-norm in another
order, so floats in front of a quantizer differ by roundings: outputs agree to 1e-4 of the largest, arg-max always.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kompakt._core.errors import ArtifactError, GraphError
from kompakt.artifact import FloatWeight, check, from_bytes, to_bytes
from kompakt.deploy import lower
from kompakt.engine.reference import run, run_all
from kompakt.graph import trace
from kompakt.quant.attach import Choice, LayerChoice, attach, calibrate, quantizers
from kompakt.zoo import DigitsNet, ResNetCifar
from support.nets import NETS, build
from support.quantized import SETUPS, SIGNED_INNER, layer, quantized, quantized_net, takes_any_sign

TOLERANCE = 1e-4
FAST = ("lq-w2a2", "lq-w2-lsq-a3", "lsq-w4a4-everywhere", "weights only", "float residual")
FULLY_QUANTIZED = [name for name in SETUPS if name not in ("weights only", "activations only", "float ends")]


def pairs(setups):
    return [(n, s) for s in setups for n in NETS if n not in SIGNED_INNER or takes_any_sign(SETUPS[s])]


def assert_same_network(name, setup, seed=0):
    graph, x, expected = quantized_net(name, setup, seed)
    found = run(lower(graph), x)
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()
    assert np.array_equal(found.argmax(1), expected.argmax(1))


@pytest.mark.parametrize(("name", "setup"), pairs(FAST))
def test_the_program_is_the_network(name, setup):
    assert_same_network(name, setup)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("name", "setup"), pairs(SETUPS))
def test_the_program_is_the_network_in_every_setup(name, setup, seed):
    assert_same_network(name, setup, seed)


@pytest.mark.parametrize("setup", [s for s in SETUPS if s not in FAST])
def test_every_setup_lowers_a_residual_net(setup):
    assert_same_network("projection", setup)


@pytest.mark.parametrize(("name", "setup"), pairs(["lq-w2a2", "lsq-w4a4-everywhere"]))
def test_no_layer_of_a_fully_quantized_net_computes_in_float(name, setup):
    graph, _, _ = quantized_net(name, setup, samples=2)
    program = lower(graph)
    types = check(program)
    layers = [node for node in program.nodes if node.op in ("conv2d", "linear")]
    assert len(layers) == len(graph.layers())
    for node in layers:
        assert types[node.inputs[0]].kind == "code", node.name
        assert types[node.name].kind == "acc", node.name
        assert not isinstance(node.attrs["weight"], FloatWeight), node.name


@pytest.mark.parametrize("setup", FULLY_QUANTIZED)
def test_batch_norm_never_becomes_a_float_node_of_its_own_in_front_of_few_bits(setup):
    """Up to 4 bits the way from accumulator to codes is one comparison with integers."""
    graph, _, _ = quantized_net("depthwise", setup, samples=2)
    program = lower(graph)
    types = check(program)
    followers = {node.inputs[0]: node for node in program.nodes}
    inner = [node for node in program.nodes if node.op == "conv2d"][:-1]
    for node in inner:
        bits = types[followers[node.name].name].encoding
        if bits is not None and bits.bits <= 4:
            assert followers[node.name].op == "threshold"


def test_a_file_of_the_program_is_the_program():
    graph, x, _ = quantized_net("pad", "lq-w2a2", samples=2)
    program = lower(graph)
    again, metadata = from_bytes(to_bytes(program, {"name": "pad"}))
    assert again == program
    assert metadata["name"] == "pad"
    assert np.array_equal(run(again, x), run(program, x))


def test_lowering_is_repeatable_and_leaves_the_graph_alone():
    graph, x, expected = quantized_net("inception", "lq-w2a2")
    code, state = graph.module.code, {k: v.clone() for k, v in graph.module.state_dict().items() if torch.is_tensor(v)}
    first = to_bytes(lower(graph), {})
    assert to_bytes(lower(graph), {}) == first
    assert graph.module.code == code
    assert all(torch.equal(v, graph.module.state_dict()[k]) for k, v in state.items())
    with torch.no_grad():
        assert np.array_equal(graph.module(torch.from_numpy(x)).numpy(), expected)


def test_the_mode_of_the_module_does_not_matter():
    """A weight's quantizer learns whenever the weight is read in training mode: lowering must be no such step."""
    graph, _, _ = quantized_net("identity", "lq-w2a2", samples=2)
    expected = to_bytes(lower(graph), {})
    graph.module.train()
    assert to_bytes(lower(graph), {}) == expected


@pytest.mark.parametrize(("method", "bits"), [("lq_nets", 2), ("lsq", 2)])
@pytest.mark.parametrize("gamma", [1.3, -1.3, 0.0])
def test_reversed_and_constant_channels_fold_into_thresholds(method, bits, gamma):
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 3, 2, stride=2), nn.Flatten(),
    ).eval()  # fmt: skip
    with torch.no_grad():
        for norm in (net[1], net[4]):
            norm.weight.fill_(gamma)
            norm.bias.uniform_(-0.5, 0.9)
            norm.running_mean.uniform_(-0.3, 0.3)
    graph = trace(net, torch.zeros(2, 3, 7, 7))
    inner, ends = LayerChoice(*[Choice(method, bits)] * 2), LayerChoice(*[Choice("lsq", 8)] * 2)
    graph = attach(graph, {"0": ends, "3": inner, "6": inner}, None)
    x = torch.randn(8, 3, 7, 7)
    calibrate(graph, x)
    for quantizer in quantizers(graph):
        quantizer.finish()
    program = lower(graph)
    directions = [node.attrs["directions"] for node in program.nodes if node.op == "threshold"]
    assert len(directions) == 2
    assert all((row == (-1 if gamma < 0 else 1)).all() for row in directions)
    values = run_all(program, x.numpy())
    with torch.no_grad():
        expected = graph.module.eval()(x).numpy()
    np.testing.assert_allclose(values[program.output], expected, atol=TOLERANCE * np.abs(expected).max())
    if gamma == 0:
        codes = next(values[node.name] for node in program.nodes if node.op == "threshold")
        assert all(len(np.unique(codes[:, c])) == 1 for c in range(codes.shape[1]))


@pytest.mark.parametrize("setup", ["lq-w2a2", "lsq-w2a2"])
def test_resnet20_lowers(setup):
    torch.manual_seed(0)
    net, x = ResNetCifar(20).eval(), torch.randn(2, 3, 32, 32)
    graph = quantized(net, x, SETUPS[setup])
    program = lower(graph)
    with torch.no_grad():
        expected = graph.module(x).numpy()
    found = run(program, x.numpy())
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()
    ops = [node.op for node in program.nodes]
    assert ops.count("shift_pad") == 4
    assert ops.count("conv2d") == 19
    types = check(program)
    assert all(types[node.inputs[0]].kind == "code" for node in program.nodes if node.op == "shift_pad")


class TwoNorms(nn.Module):
    """One convolution, read by two batch-norms and directly."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.a, self.b = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.end = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        y = self.conv(x)
        return self.end(torch.relu(self.a(y)) + torch.relu(self.b(y)) + y).flatten(1)


def test_maps_of_one_base_value_are_kept_apart():
    torch.manual_seed(0)
    net, x = TwoNorms().eval(), torch.randn(3, 3, 4, 4)
    with torch.no_grad():
        net.b.weight.fill_(2.0)
        net.b.bias.fill_(0.3)
    graph = quantized(net, x, SETUPS["lsq-w8a8"])
    with torch.no_grad():
        expected = graph.module(x).numpy()
    found = run(lower(graph), x.numpy())
    np.testing.assert_allclose(found, expected, atol=TOLERANCE * np.abs(expected).max())


def test_the_same_float_is_computed_once():
    graph, _, _ = quantized_net("identity", "float residual", samples=2)
    nodes = lower(graph).nodes
    work = [(node.op, node.inputs) for node in nodes if node.op in ("affine", "clamp", "dequantize")]
    assert len(work) == len(set(work))


def test_names_of_layers_stay():
    graph, _, _ = quantized_net("pools", "lq-w2a2", samples=2)
    names = [node.name for node in lower(graph).nodes if node.op in ("conv2d", "linear")]
    assert names == [str(node.target) for node in graph.layers()]


def test_a_module_named_like_another_value_is_no_conflict():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.add, self.relu_input, self.flatten = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(16, 2)

        def forward(self, x):
            y = torch.relu(self.add(x))
            return self.flatten(torch.relu(self.relu_input(y) + y).flatten(1))

    torch.manual_seed(0)
    net, x = Named().eval(), torch.randn(3, 3, 2, 2)
    graph = quantized(net, x, SETUPS["lsq-w2a2"])
    with torch.no_grad():
        expected = graph.module(x).numpy()
    np.testing.assert_allclose(run(lower(graph), x.numpy()), expected, atol=TOLERANCE * np.abs(expected).max())


def test_values_that_are_not_finite_name_the_layer():
    net, x = build("identity")
    graph = quantized(net, x, SETUPS["lq-w2a2"])
    with torch.no_grad():
        graph.module.get_submodule("body.0.0.1").running_var[0] = -1.0
    with pytest.raises(GraphError, match=r"body\.0\.0\.0: .*NaN"):
        lower(graph)


def test_accumulators_that_could_overflow_are_refused():
    torch.manual_seed(0)
    net = nn.Sequential(nn.ReLU(), nn.Linear(70_000, 1))
    with torch.no_grad():
        net[1].weight.fill_(1.0)
    graph = trace(net, torch.ones(1, 70_000))
    graph = attach(graph, {"1": layer("lsq8", "lsq8")}, None)
    calibrate(graph, torch.rand(1, 70_000))
    with pytest.raises(ArtifactError, match=r"1.*2\^31"):
        lower(graph)


def test_digits_net_with_overrides():
    torch.manual_seed(0)
    net, x = DigitsNet(8).eval(), torch.rand(4, 1, 8, 8)
    graph = trace(net, x)
    names = [str(node.target) for node in graph.layers()]
    kinds = ("lsq8", "lq_nets1", "lsq5", "lq_nets4", "lsq8")
    graph = attach(graph, {n: layer(k, k) for n, k in zip(names, kinds, strict=True)}, Choice("lsq", 5))
    calibrate(graph, x)
    for quantizer in quantizers(graph):
        quantizer.finish()
    with torch.no_grad():
        expected = graph.module.eval()(x).numpy()
    np.testing.assert_allclose(run(lower(graph), x.numpy()), expected, atol=TOLERANCE * np.abs(expected).max())
