"""Networks of powers of two become integers and shifts, and compute exactly what torch computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kompakt.deploy.coding import Coding
from kompakt.deploy.shifts import pending_sum, requantize_attributes
from kompakt.deploy.values import Coded, Lazy, Sum
from kompakt.encoding import Affine
from kompakt.engine.reference import run
from kompakt.strategy import load_recipe, prepare
from support.nets import NETS, build

INTEGERS = {"quantize", "conv2d", "linear", "requantize", "max_pool", "sum_pool", "concat", "shift_pad", "flatten"}
WHOLLY_INTEGER = ("identity", "projection", "pad", "depthwise", "grouped", "pools", "linear")
CODING = Coding(Affine(8), np.float32(2.0**-4), tuple(range(256)), None, True, half_up=True)


def small_of(name: str, **settings: object):
    net, x = build(name)
    x = torch.randn(12, *x.shape[1:])
    recipe = load_recipe("int8-shift", {key.replace("__", "."): value for key, value in settings.items()})
    job = prepare(net, recipe, x[:2], x)
    with torch.no_grad():
        expected = job.module(x).numpy()
    return job.finish(), x.numpy(), expected, net(x).detach().numpy()


@pytest.mark.parametrize("name", NETS)
def test_torch_reference_and_engine_agree_in_every_bit(name):
    small, x, expected, original = small_of(name)
    found = run(small.program, x)
    assert np.array_equal(found, expected)
    assert np.array_equal(small(x), found)
    assert np.abs(found - original).max() < 0.03 * np.abs(original).max()


@pytest.mark.parametrize("method", ["shift", "shift_channel"])
@pytest.mark.parametrize("name", WHOLLY_INTEGER)
def test_nothing_is_a_float_between_the_input_and_the_logits(name, method):
    small, *_ = small_of(name, stage__method=method, stage__edge_method=method)
    *nodes, last = small.program.nodes
    assert {node.op for node in nodes} <= INTEGERS
    assert sum(node.op == "quantize" for node in nodes) == 1
    assert last.op == "affine"
    assert (np.frexp(last.attrs["m"])[0] == 0.5).all()
    whole = last.attrs["b"] / last.attrs["m"]
    assert np.array_equal(whole, np.rint(whole))


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_few_bits_are_shifted_too(bits):
    small, x, expected, _ = small_of("projection", stage__weight_bits=bits, stage__activation_bits=bits)
    assert np.array_equal(run(small.program, x), expected)
    assert {node.op for node in small.program.nodes} - {"affine", "recode"} <= INTEGERS


def test_relu6_is_a_lower_top():
    torch.manual_seed(0)
    net, x = (
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU6(), nn.Conv2d(4, 2, 1), nn.Flatten()),
        9 * torch.randn(8, 2, 5, 5),
    )
    job = prepare(net, "int8-shift", x[:2], x)
    small = job.finish()
    tops = [node.attrs["top"] for node in small.program.nodes if node.op == "requantize"]
    assert tops == [192]  # 6 in steps of 1/32
    with torch.no_grad():
        assert np.array_equal(run(small.program, x.numpy()), job.module(x).numpy())


def test_a_window_that_is_no_power_of_two_takes_a_scale():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(3), nn.Conv2d(4, 2, 1), nn.Flatten())
    x = torch.randn(8, 3, 8, 8)
    job = prepare(net, "int8-shift", x[:2], x)
    small = job.finish()
    with torch.no_grad():
        expected = job.module(x).numpy()
    assert "encode" in {node.op for node in small.program.nodes}
    np.testing.assert_allclose(run(small.program, x.numpy()), expected, rtol=1e-5)


def sums(fraction: list[int], bias: list[float], bound: int = 1000) -> Lazy:
    m = 2.0 ** -np.array(fraction, np.float64)
    return Lazy("s", "acc", m, np.array(bias, np.float64), bound=bound)


def test_alignment_of_a_residual():
    """Sums of 10 and 3 fractional bits, codes of 5, to codes of 4: shifts to the largest of each channel."""
    coded = Coded("q", Coding(Affine(8), np.float32(2.0**-5), tuple(range(256)), None, True))
    found = requantize_attributes(Sum(sums([10, 3], [0.5, -1.125]), coded), CODING)
    assert found is not None
    assert found["left"].tolist() == [[0, 2], [5, 0]]
    assert found["right"].tolist() == [6, 1]
    assert found["bias"].tolist() == [512, -36]


def test_codes_finer_than_their_sums_shift_left():
    found = requantize_attributes(sums([1, 4], [1.5, 0.0]), CODING)
    assert found is not None
    assert (found["left"].tolist(), found["right"].tolist(), found["bias"].tolist()) == ([[3, 0]], [0, 0], [24, 0])


@pytest.mark.parametrize(
    ("source", "coding"),
    [
        (Lazy("s", "acc", np.array([0.3]), np.zeros(1), bound=9), CODING),
        (Lazy("s", "acc", np.array([-0.5]), np.zeros(1), bound=9), CODING),
        (Lazy("s", "f32", np.array([0.5]), np.zeros(1)), CODING),
        (sums([4], [0.01]), CODING),
        (sums([40], [0.0]), CODING),
        (sums([-20], [0.0]), CODING),
        (Lazy("s", "acc", np.ones(1), np.zeros(1), (-1.0, 1.0), 9), CODING),
        (Lazy("s", "acc", np.ones(1), np.zeros(1), (0.0, 0.01), 9), CODING),
        (sums([4], [0.0]), Coding(Affine(8), np.float32(0.1), tuple(range(256)), None, True, half_up=True)),
        (sums([4], [0.0]), Coding(Affine(8), np.float32(0.5), tuple(range(256)), None, True)),
    ],
    ids=["scale", "sign", "floats", "bias", "right 36", "left 24", "clamp", "one level", "step", "halves to even"],
)
def test_what_takes_more_than_shifts(source, coding):
    assert requantize_attributes(source, coding) is None


def test_sums_wait_only_for_integers():
    floats, codes = Lazy("f", "f32"), Coded("q", CODING)
    assert pending_sum(codes, codes) is None
    assert pending_sum(sums([1], [0.0]), floats) is None
    waiting = pending_sum(codes, sums([1], [0.0]))
    assert waiting is not None
    assert waiting.first.name == "s"
