"""Gradients of few bits, beside the printed formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from kompakt.ops.gradients import quantize_gradient, with_quantized_gradient

BITS = range(2, 9)


def step_of(gradient: torch.Tensor, bits: int) -> float:
    """2^⌈log2(max|g| / (2^(b-1) - 1))⌉ by trial, in float64."""
    exponent = -200
    while 2.0**exponent * (2 ** (bits - 1) - 1) < float(gradient.abs().max()):
        exponent += 1
    return 2.0**exponent


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_are_multiples_of_the_step_around_the_gradient(bits, dtype):
    generator = torch.Generator().manual_seed(bits)
    gradient = (torch.randn(50, 40, generator=generator) * 10.0 ** -(bits - 2)).to(dtype)
    found, step = quantize_gradient(gradient, bits), step_of(gradient, bits)
    level = found.double() / step
    assert found.dtype == dtype
    assert torch.equal(level, level.round()), "in bfloat16, too"
    assert level.abs().max() <= 2 ** (bits - 1) - 1
    assert len(level.unique()) <= 2**bits - 1
    assert ((level - gradient.double() / step).abs() < 1).all()


@pytest.mark.parametrize("bits", BITS)
def test_the_mean_of_many_roundings_is_the_gradient(bits):
    torch.manual_seed(0)
    gradient = torch.tensor([0.0, 1.0, -0.9, 0.31, -0.013, 0.0007])
    count, step = 100_000, step_of(gradient, bits)
    mean = quantize_gradient(gradient.repeat(count, 1), bits).double().mean(0)
    share = (gradient.double() / step).remainder(1)
    error = step * (share * (1 - share) / count).sqrt()
    assert ((mean - gradient).abs() <= 4 * error).all()
    assert mean[0] == 0


@pytest.mark.parametrize("bits", [2, 6, 8])
def test_whole_multiples_stay_as_they_are(bits):
    top = 2 ** (bits - 1) - 1
    levels = torch.arange(-top, top + 1, dtype=torch.float32)
    for exponent in (-100, -7, 0, 90):
        assert torch.equal(quantize_gradient(levels * 2.0**exponent, bits), levels * 2.0**exponent)


@pytest.mark.parametrize("bits", [2, 5])
def test_a_maximum_just_above_a_power_takes_the_next_step(bits):
    top = 2 ** (bits - 1) - 1
    largest = torch.tensor([np.nextafter(np.float32(top), np.float32(math.inf))])
    found = {float(quantize_gradient(largest, bits)) for _ in range(200)}
    assert found <= {2.0 * ((top + 1) // 2), 2.0 * (top // 2)}


def test_nothing_and_what_is_not_finite():
    assert torch.equal(quantize_gradient(torch.zeros(3, 2), 4), torch.zeros(3, 2))
    tiny = quantize_gradient(torch.full((4,), 2.0**-140), 4)
    assert torch.isfinite(tiny).all()
    for bad in (math.nan, math.inf):
        assert not torch.isfinite(quantize_gradient(torch.tensor([1.0, bad]), 4)).all()


def test_the_surrogate_passes_values_on_and_quantizes_what_comes_back():
    x = torch.randn(6, 3, requires_grad=True)
    y = with_quantized_gradient(x, 3)
    assert torch.equal(y, x)
    weight = torch.randn(6, 3)
    torch.manual_seed(5)
    found = torch.autograd.grad((y * weight).sum(), x)[0]
    torch.manual_seed(5)
    assert torch.equal(found, quantize_gradient(weight, 3))
