"""Levels from the range alone: golden signal-to-error ratios, and what each scheme promises."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kompakt.ops.data_free import affine_levels, power_levels
from kompakt.ops.steps import largest_step


def draws(count: int = 10) -> Tensor:
    return torch.randn(count, 4608, generator=torch.Generator().manual_seed(0))


def sqnr_db(x: Tensor, levels: Tensor) -> float:
    """Mean over rows of power over squared distance to the nearest of the row's levels (G, L), in dB."""
    error = (x[:, :, None] - levels[:, None]).abs().amin(2).square().mean(1)
    return float((10 * torch.log10(x.square().mean(1) / error)).mean())


@pytest.mark.parametrize(("bits", "expected"), [(2, 3.14), (3, 10.44), (4, 16.97), (5, 23.08)])
def test_the_affine_scheme_has_its_known_error_on_normal_data(bits, expected):
    x = draws()
    integer, step = affine_levels(x, bits)
    assert sqnr_db(x, integer * step) == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize(("bits", "expected"), [(2, 0.78), (3, 8.77), (4, 15.96)])
def test_so_has_the_symmetric_one(bits, expected):
    x = draws()
    top = 2 ** (bits - 1) - 1
    levels = torch.arange(-top, top + 1) * largest_step(x, -top, top)[:, None]
    assert sqnr_db(x, levels) == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize("make", [torch.randn, lambda *s, generator: torch.rand(*s, generator=generator) - 0.5])
def test_powers_of_two_cannot_pass_a_ratio_of_14_db(make):
    """The relative distance of neighbours stays a factor of two, however many there are."""
    x = make(4, 3000, generator=torch.Generator().manual_seed(1))
    integer, scale = power_levels(x, 4)
    assert sqnr_db(x, integer * scale) == pytest.approx(14.2, abs=1.2)
    finer = torch.cat([integer * scale, integer * scale / 2**7], dim=1)
    assert sqnr_db(x, finer) < sqnr_db(x, integer * scale) + 0.3


def test_affine_levels_hold_zero_and_reach_both_ends():
    x = torch.tensor([[-0.2, 0.1, 1.0], [0.3, 0.5, 0.9], [-1.0, -0.5, -0.4], [0.0, 0.0, 0.0]])
    integer, step = affine_levels(x, 4)
    assert (integer == 0).any(1).all()
    levels = integer * step
    for row, found in zip(x, levels, strict=True):
        assert found[0] <= row.min().clamp_max(0) + 0.51 * float(found[1] - found[0])
        assert found[-1] >= row.max().clamp_min(0) - 0.51 * float(found[1] - found[0])
    assert integer.abs().max() <= 15
    assert (step > 0).all()


@pytest.mark.parametrize(("largest", "top"), [(1.0, 1.0), (1.49, 1.0), (1.51, 2.0), (0.74, 0.5), (0.76, 1.0)])
def test_the_largest_power_is_the_one_nearest_to_the_largest_value(largest, top):
    integer, scale = power_levels(torch.tensor([[largest, -0.1]]), 3)
    assert float((integer * scale).max()) == top
    assert integer[0].tolist() == [-4, -2, -1, 0, 1, 2, 4, 4]
    assert math.log2(float(scale)).is_integer()
