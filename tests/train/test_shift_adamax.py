"""Shift-based AdaMax: the printed update, powers of two, and descent."""

from __future__ import annotations

import copy

import pytest
import torch

from kompakt._core.errors import TrainingError
from kompakt.train.shift_adamax import ShiftAdaMax


def power(x: torch.Tensor) -> torch.Tensor:
    return torch.sign(x) * 2 ** torch.round(torch.log2(x.abs()))


def test_updates_are_the_printed_ones():
    """m = b1·m + (1 - b1)·g; v = max(b2·v, |g|); θ -= AP2(α / (1 - b1^t)) · m / AP2(v)."""
    generator, rate, first, second = torch.Generator().manual_seed(0), 2.0**-6, 1 - 2.0**-3, 1 - 2.0**-10
    parameter = torch.nn.Parameter(torch.randn(50, generator=generator))
    optimizer, expected = ShiftAdaMax([parameter], lr=rate), parameter.detach().double().clone()
    mean, largest = torch.zeros(50).double(), torch.zeros(50).double()
    for step in range(1, 30):
        parameter.grad = torch.randn(50, generator=generator)
        before = parameter.detach().clone()
        optimizer.step()
        mean = first * mean + (1 - first) * parameter.grad.double()
        largest = torch.maximum(second * largest, parameter.grad.double().abs())
        factor = power(torch.tensor(rate / (1 - first**step))) / power(largest)
        expected -= factor * mean
        torch.testing.assert_close(parameter.detach().double(), expected, rtol=0, atol=1e-6)
        share = (before - parameter.detach()).double() / mean
        assert ((share / factor - 1).abs()[mean.abs() > 0.05] < 1e-2).all(), "every step is a power of two times m"


def test_it_goes_downhill_and_comes_back_from_its_state():
    x = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = ShiftAdaMax([x], lr=0.05, weight_decay=1e-3)

    def step() -> float:
        optimizer.zero_grad()
        loss = (x * torch.tensor([1.0, 10.0])).square().sum()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    first = step()
    for _ in range(50):
        step()
    state, value = copy.deepcopy(optimizer.state_dict()), x.detach().clone()
    ends = []
    for _ in range(2):
        with torch.no_grad():
            x.copy_(value)
        optimizer = ShiftAdaMax([x], lr=0.05, weight_decay=1e-3)
        optimizer.load_state_dict(copy.deepcopy(state))
        ends.append([step() for _ in range(100)][-1])
    assert ends[0] == ends[1] < 1e-3 * first


def test_a_gradient_of_zero_is_no_division_by_it():
    x = torch.nn.Parameter(torch.ones(3))
    x.grad = torch.zeros(3)
    ShiftAdaMax([x]).step()
    assert torch.equal(x.detach(), torch.ones(3))


@pytest.mark.parametrize("settings", [{"lr": 0.0}, {"betas": (1.0, 0.9)}])
def test_senseless_settings_are_refused(settings):
    with pytest.raises(TrainingError, match="lr must be more than 0"):
        ShiftAdaMax([torch.nn.Parameter(torch.ones(1))], **settings)
