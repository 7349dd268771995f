"""The rule of LSQ+: gradients as printed, whole offsets in the end, levels that hold zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kompakt.encoding import Affine
from kompakt.ops import uniform
from kompakt.ops.windows import best_window
from kompakt.quant import METHODS, Quantizer

PARTS = METHODS["lsq_plus"]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def quantizer(bits: int, x: torch.Tensor, signed: bool = True) -> Quantizer:
    made = Quantizer(PARTS, bits, signed, sample_axis=True)
    made.fit(x)
    return made


@pytest.mark.parametrize(("lo", "hi"), [(-8, 7), (0, 15)])
def test_gradients_are_the_printed_ones(lo, hi):
    """Card, section 9: for x, the step and the offset β, inside the range, below and above it."""
    x = (normal(400) * 6).double().requires_grad_()
    step = torch.tensor([0.31], dtype=torch.float64, requires_grad=True)
    beta = torch.tensor([0.47], dtype=torch.float64, requires_grad=True)
    upstream = normal(400, seed=1).double()
    y = uniform.fake_quantize_around(x, step.float(), beta.float() / step.float(), lo, hi)
    (y * upstream).sum().backward()
    v = ((x - beta) / step).detach()
    inside, rounded = (v >= lo) & (v <= hi), torch.round(v)
    assert torch.allclose(x.grad, torch.where(inside, upstream, 0), atol=1e-6)
    of_step = torch.where(inside, rounded - v, torch.where(v < lo, float(lo), float(hi)))
    assert step.grad.item() == pytest.approx(float((upstream * of_step).sum()), abs=2e-4)
    assert beta.grad.item() == pytest.approx(float((upstream * ~inside).sum()), abs=2e-4)


@pytest.mark.parametrize("signed", [True, False])
def test_without_an_offset_it_is_lsq(signed):
    lsq = Quantizer(METHODS["lsq"], 4, signed, sample_axis=True)
    plus, x = Quantizer(PARTS, 4, signed, sample_axis=True), normal(8, 50)
    with torch.no_grad():
        lsq.rule.step.fill_(0.3)
        plus.rule.step.fill_(0.3)
    assert torch.equal(plus(x), lsq(x))
    plus.finish()
    assert plus.encoding()[0] == Affine(4, signed)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_swish_needs_fewer_levels_below_zero(bits):
    """The point of the paper: values down to -0.28 and up to 4 waste half of a symmetric grid."""
    x = F.silu(normal(64, 300))
    lsq = Quantizer(METHODS["lsq"], bits, True, sample_axis=True)
    lsq.fit(x)
    plus = quantizer(bits, x)
    plus.finish()
    error, symmetric = ((q(x) - x).square().mean().item() for q in (plus, lsq))
    assert error < 0.6 * symmetric


def test_the_start_is_the_window_of_least_error():
    x = F.silu(normal(4000))
    low, step = best_window(x, 15)
    best = min(
        float((torch.round((x - a) / (b - a) * 15).clamp(0, 15) * (b - a) / 15 + a - x).square().mean())
        for a in np.linspace(-0.35, -0.05, 31)
        for b in np.linspace(1, 4, 61)
    )
    found = (torch.round((x - low) / step).clamp(0, 15) * step + low - x).square().mean().item()
    assert found <= 1.02 * best


@pytest.mark.parametrize("bits", PARTS.bits)
@pytest.mark.parametrize("signed", [True, False])
def test_levels_are_whole_neighbours_and_hold_zero(bits, signed):
    made = quantizer(bits, F.leaky_relu(normal(16, 64), 0.1), signed)
    made.finish()
    encoding, _ = made.encoding()
    levels = np.sort(encoding.table()[0])
    assert np.array_equal(levels, np.arange(levels[0], levels[0] + 2**bits))
    assert levels[0] <= 0 <= levels[-1]
    assert made.rule.snap_error() <= 0.5 / (2**bits - 1) + 1e-6


def test_the_offset_moves_freely_until_the_end():
    made = quantizer(4, F.silu(normal(16, 64)))
    with torch.no_grad():
        made.rule.offset.copy_(2.37 * made.rule.step)
    assert made.rule.parameters_of_grid()["zero"].item() == pytest.approx(2.37)
    made.finish()
    assert made.rule.parameters_of_grid()["zero"].item() == 2


@pytest.mark.parametrize("zero", [-3, 0, 2, 5])
def test_comparing_with_thresholds_is_rounding_even_on_ties(zero):
    made = Quantizer(PARTS, 4, True, sample_axis=True)
    with torch.no_grad():
        made.rule.step.fill_(0.25)  # halves of it are exact
        made.rule.offset.fill_(0.25 * zero)
    made.finish()
    x = torch.arange(-60, 60) * 0.125
    thresholds, codes = made.thresholds()
    index = (x.numpy()[:, None] > thresholds).sum(1)
    found, _, _ = made.encode(x)
    assert np.array_equal(np.array(codes)[index], found)


def test_zero_stays_a_level_however_far_the_offset_runs():
    made = quantizer(4, normal(16, 64))
    for far in (-1e3, 1e3):
        with torch.no_grad():
            made.rule.offset.fill_(far)
        made.rule.after_step()
        made.finish()
        assert 0 in made.encoding()[0].table()
        assert not made(torch.zeros(1, 5)).any()
