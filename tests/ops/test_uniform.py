"""The uniform grid: LSQ's gradients against their written formula, and the least-squares start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kompakt.ops import uniform
from kompakt.ops.sampling import thinned
from kompakt.ops.steps import searched_step
from kompakt.ops.surrogate import scale_gradient, ste_round, with_gradient_of

BITS = [(bits, signed) for bits in range(2, 9) for signed in (True, False)]


def step_gradient(v: Tensor, lo: int, hi: int) -> Tensor:
    """Card, section 4: the three branches, element-wise."""
    return torch.where(v <= lo, float(lo), torch.where(v >= hi, float(hi), torch.round(v) - v))


def random_case(seed: int, bits: int, signed: bool) -> tuple[Tensor, Tensor, int, int]:
    generator = torch.Generator().manual_seed(seed)
    lo, hi = uniform.limits(bits, signed)
    step = torch.rand(1, generator=generator) * 0.5 + 0.01
    x = torch.randn(400, generator=generator) * step * hi
    return x, step, lo, hi


@pytest.mark.parametrize(("bits", "signed"), BITS)
def test_the_gradient_is_the_printed_formula(bits, signed):
    """Card, test 1: autograd of Σ c·x̂ equals Σ c·(three branches) within 1e-6, after division by g."""
    x, step, lo, hi = random_case(bits, bits, signed)
    g, c = 0.037, torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    x.requires_grad_()
    step.requires_grad_()
    (c * uniform.fake_quantize(x, step, lo, hi, g)).sum().backward()
    v = (x / step).detach().double()
    expected = (c.double() * step_gradient(v, lo, hi)).sum()
    scale = (c.double() * step_gradient(v, lo, hi)).abs().sum()
    assert abs(float(step.grad) / g - float(expected)) <= 1e-6 * float(scale)
    torch.testing.assert_close(x.grad, torch.where((v > lo) & (v < hi), c, 0.0), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("v", "gradient"), [(1.49, -0.49), (1.51, 0.49), (-0.3, 0.3), (7.9, 3.0), (3.01, 3.0), (-4.2, -4.0), (-100.0, -4.0)]
)
def test_spot_values_of_the_step_gradient(v, gradient):
    step = torch.tensor([0.25], requires_grad=True)
    uniform.fake_quantize(torch.tensor([v * 0.25]), step, -4, 3, 1.0).sum().backward()
    assert float(step.grad) == pytest.approx(gradient, abs=1e-5)


@given(seed=st.integers(0, 2**32 - 1), case=st.sampled_from(BITS), g=st.floats(1e-9, 10))
def test_the_gradient_scale_does_not_change_the_forward_pass(seed, case, g):
    """Card, test 2: bit for bit."""
    x, step, lo, hi = random_case(seed, *case)
    expected = uniform.fake_quantize(x, step, lo, hi, 1.0)
    assert torch.equal(uniform.fake_quantize(x, step, lo, hi, g), expected)
    level = torch.clamp(torch.round(x / step), lo, hi)
    assert torch.equal(expected, level * step)


def test_the_step_learns_from_values_inside_the_range():
    """Card, test 3: PACT's clip gets no gradient there."""
    step = torch.tensor([1.0], requires_grad=True)
    x = torch.tensor([0.3, -1.2, 1.4, 2.4])
    uniform.fake_quantize(x, step, -8, 7, 1.0).sum().backward()
    assert float(step.grad) == pytest.approx(float((x.round() - x).sum()))
    assert abs(float(step.grad)) > 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_types_are_computed_in_float32(dtype):
    x = torch.randn(100, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = uniform.fake_quantize(x, torch.tensor([0.3]), -8, 7, 1.0)
    assert found.dtype == dtype
    assert torch.equal(found, uniform.fake_quantize(x.float(), torch.tensor([0.3]), -8, 7, 1.0).to(dtype))


@pytest.mark.parametrize(
    ("bits", "signed", "symmetric", "expected"),
    [
        (2, True, False, (-2, 1)),
        (8, True, False, (-128, 127)),
        (8, True, True, (-127, 127)),
        (2, False, False, (0, 3)),
        (8, False, True, (0, 255)),
    ],
)
def test_limits(bits, signed, symmetric, expected):
    assert uniform.limits(bits, signed, symmetric) == expected


def brute_step(x: np.ndarray, lo: int, hi: int) -> float:
    """Least squared error over a fine grid of steps."""
    steps = np.linspace(0.001, 1.2, 4000) * max(x.max() / max(hi, 1), -x.min() / max(-lo, 1))
    errors = [((np.clip(np.rint(x / s), lo, hi) * s - x) ** 2).mean() for s in steps]
    return float(min(errors))


@pytest.mark.parametrize(("bits", "signed"), [(2, True), (2, False), (4, True), (8, False)])
def test_the_start_has_nearly_the_least_error(bits, signed):
    lo, hi = uniform.limits(bits, signed)
    x = torch.randn(500, generator=torch.Generator().manual_seed(1))
    x = x if signed else x.clamp_min(0)
    step = searched_step(x[None], lo, hi)
    error = float(((torch.clamp(torch.round(x / step), lo, hi) * step - x) ** 2).mean())
    assert error <= 1.02 * brute_step(x.double().numpy(), lo, hi) + 1e-9


@pytest.mark.parametrize(("value", "signed"), [(0.0, True), (0.0, False), (1.5, True), (-1.5, True), (1e-30, False)])
def test_the_start_of_constant_data_is_positive(value, signed):
    step = searched_step(torch.full((1, 10), value), *uniform.limits(3, signed))
    assert torch.isfinite(step)
    assert step > 0


def test_straight_through_values_are_exact():
    x = torch.tensor([0.1, 1e20, -3.3e-7], requires_grad=True)
    value = torch.tensor([7.1, 3.0, -2.0])
    y = with_gradient_of(value, x * 3)
    assert torch.equal(y, value)
    y.sum().backward()
    assert torch.equal(x.grad, torch.full((3,), 3.0))


def test_rounding_is_half_to_even_with_derivative_one():
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5, 0.4999], requires_grad=True)
    y = ste_round(x)
    assert y.tolist() == [0.0, 2.0, 2.0, 0.0, -2.0, 0.0]
    y.sum().backward()
    assert torch.equal(x.grad, torch.ones(6))


def test_scaled_gradients_leave_the_value():
    x = torch.tensor([0.1, -3.0], requires_grad=True)
    y = scale_gradient(x, 0.125)
    assert torch.equal(y, x)
    y.sum().backward()
    assert torch.equal(x.grad, torch.full((2,), 0.125))


@pytest.mark.parametrize("count", [1, 7, 100, 1000])
def test_thinning_takes_values_from_everywhere(count):
    x = torch.arange(1000.0).reshape(10, 100)
    found = thinned(x, count)
    assert count / 2 <= len(found) <= 2 * count
    assert len(found.unique()) == len(found)
    if count >= 10:
        assert found.max() > 900, "the end of the data counts, too"
        assert len({int(v) % 2 for v in found}) == 2, "an even stride would see one column only"
