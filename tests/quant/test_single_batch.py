"""Fixed point from a single batch: published parameters, error bounds, integer pipelines, thresholds."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kompakt.ops.fixed_point import FixedPoint, fixed_point
from kompakt.quant import METHODS, Quantizer
from kompakt.strategy import prepare

WEIGHT_STEP = 0.0031039847526699305


@pytest.mark.parametrize(
    ("unit", "before", "after", "expected"),
    [
        ("early", 1.1866780988716616, 4.523843940463374, FixedPoint(10, 107, 7)),
        ("later", 1.1892472153964808, 5.2763349082102575, FixedPoint(0, 23475, 25)),
    ],
)
def test_published_parameters(unit, before, after, expected):
    """Parameters of GoogLeNet's layers, as the engine's own files hold them."""
    assert fixed_point(before * WEIGHT_STEP / after, unit) == expected


def test_a_published_threshold():
    assert pytest.approx(1.18668, abs=1e-5) == 150.708 / 127
    quantizer = Quantizer(METHODS["fixed_point"], 8, True, grains=2)
    quantizer.fit(torch.tensor([[150.708, -3.0], [0.5, -63.5]]))
    assert quantizer.rule.step.tolist() == pytest.approx([150.708 / 127, 0.5])


@given(st.floats(-20, 0).map(lambda x: 2.0**x), st.sampled_from([("early", 7), ("later", 15)]))
def test_relative_error(multiplier, unit):
    name, bits = unit
    found = fixed_point(multiplier, name)
    assert 2 ** (bits - 1) <= found.scale <= 2**bits
    assert found.pre >= 0
    assert found.post >= 0
    assert abs(found.value - multiplier) <= multiplier * 2.0**-bits


def test_powers_of_two_are_exact():
    for exponent in range(-12, 6):
        for unit in ("early", "later"):
            assert fixed_point(2.0**exponent, unit).value == 2.0**exponent


def test_dead_channels_and_impossible_multipliers():
    assert fixed_point(0.0).apply(torch.tensor([-5, 7])).tolist() == [0, 0]
    for wrong in (-0.1, math.inf, math.nan, 2.0**15):
        with pytest.raises(ValueError, match=r"must lie in 0\.\.2\^15"):
            fixed_point(wrong)


def test_truncation_biases_by_half_a_unit_and_rounding_does_not():
    sums = torch.arange(-60_000, 60_000)
    multiplier = fixed_point(8.1424e-4, "early")
    exact = sums.double() * multiplier.value
    rounded, cut = (multiplier.apply(sums, truncate).double() - exact for truncate in (False, True))
    assert abs(rounded.mean()) < 0.02
    # Half a unit of the result, and half a unit in front of the product, which 107 / 128 shrinks.
    assert cut.mean() == pytest.approx(-0.5 - 0.5 * 107 / 128, abs=0.02)


def test_an_integer_pipeline_equals_its_simulation():
    """Three layers: integers and shifts, next to float64 that rounds in the same places."""
    generator = torch.Generator().manual_seed(0)
    code = torch.randint(-127, 128, (64, 20), generator=generator)
    simulated = code.double()
    for outputs in (16, 12, 5):
        weight = torch.randint(-127, 128, (outputs, code.shape[1]), generator=generator)
        bias = torch.randint(-9999, 9999, (outputs,), generator=generator)
        multiplier = fixed_point(0.9 / (70 * 70 * math.sqrt(code.shape[1])) * 70, "early")
        code = multiplier.apply(code @ weight.T + bias).clamp(-127, 127)
        shifted = torch.floor((simulated @ weight.T.double() + bias) / 2.0**multiplier.pre + 0.5)
        simulated = torch.floor(shifted * multiplier.scale / 2.0**multiplier.post + 0.5).clamp(-127, 127)
        assert torch.equal(code.double(), simulated)
    assert code.unique().numel() > 20


def test_outliers_are_clipped_and_ordinary_data_are_not():
    torch.manual_seed(0)
    x = torch.randn(20_000)
    clean = Quantizer(METHODS["fixed_point"], 8, True, sample_axis=True)
    clean.fit(x.reshape(20, -1))
    assert (x.abs() > clean.rule.step * 127).double().mean() < 1e-3
    planted = x.clone()
    planted[:2] = 20 * x.abs().max()
    losses = {}
    for name in ("fixed_point", "min_max"):
        quantizer = Quantizer(METHODS[name], 6, True, sample_axis=True)
        quantizer.fit(planted.reshape(20, -1))
        losses[name] = float((quantizer(x) - x).square().mean())
    assert losses["fixed_point"] < losses["min_max"] / 10


def test_codes_stay_signed_behind_a_relu():
    quantizer = Quantizer(METHODS["fixed_point"], 8, False, sample_axis=True)
    quantizer.fit(torch.rand(4, 100))
    encoding, _ = quantizer.encoding()
    assert encoding.signed
    assert int(quantizer.encode(torch.rand(4, 100))[0].max()) <= 127


def test_one_batch_makes_a_network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    x = torch.randn(64, 2, 6, 6)
    small = prepare(net, "int8-fixed-point", x[:2], x).finish()
    with torch.no_grad():
        expected = net(x).numpy()
    assert abs(small(x.numpy()) - expected).max() < 0.05 * abs(expected).max()
