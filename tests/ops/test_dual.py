"""Two low-bit tensors for one: the joint search beside exhaustive and greedy ones."""

from __future__ import annotations

import itertools
from math import gcd

import pytest
import torch
from torch import Tensor

from kompakt.ops.dual import dual_basis, joint_search, ratios, sums
from kompakt.ops.steps import least_squares_step


def error(x: Tensor, levels: Tensor) -> float:
    """Mean squared distance of (N,) to the nearest of (L,), slowly."""
    return float((x[:, None] - levels).abs().amin(1).double().square().mean())


def dual_levels(x: Tensor, half_bits: int) -> Tensor:
    pair, step = joint_search(x[None], half_bits)
    return sums((int(pair[0, 0]), int(pair[0, 1])), half_bits) * step


def uniform_levels(x: Tensor, bits: int) -> Tensor:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return torch.arange(low, high + 1) * least_squares_step(x[None], low, high)


def nearest(x: Tensor, levels: Tensor) -> Tensor:
    return levels[(x[:, None] - levels).abs().argmin(1)]


@pytest.fixture(scope="module")
def normal() -> Tensor:
    return torch.randn(4608, generator=torch.Generator().manual_seed(0))


def test_ratios_are_whole_and_fit_eight_bits():
    assert (14, 1) in ratios()
    assert (11, 4) in ratios()
    assert all(gcd(a, b) == 1 and a >= b for a, b in ratios())
    assert max(float(sums(pair, 4).abs().max()) for pair in ratios()) <= 127


@pytest.mark.parametrize("half_bits", [2, 3, 4])
def test_the_weights_of_the_bits_give_the_sums(half_bits):
    basis = dual_basis(torch.tensor([[11, 4]]), half_bits)[0].tolist()
    found = {
        sum(w * d for w, d in zip(basis, digits, strict=True))
        for digits in itertools.product((0, 1), repeat=2 * half_bits)
    }
    assert sorted(found) == sums((11, 4), half_bits).tolist()


def test_joint_beats_greedy_beats_single(normal):
    """Printed order of the methods: single > sequential > joint, the last by far; 8 uniform bits are near."""
    single = uniform_levels(normal, 4)
    rest = normal - nearest(normal, single)
    greedy = error(rest, uniform_levels(rest, 4))
    joint = error(normal, dual_levels(normal, 4))
    assert joint < 0.25 * greedy < 0.1 * error(normal, single)
    assert joint < 1.5 * error(normal, uniform_levels(normal, 8))


@pytest.mark.parametrize(("half_bits", "bits", "limit"), [(2, 2, 0.16), (3, 3, 0.03)])
def test_two_tensors_are_worth_their_bits_beside_one(normal, half_bits, bits, limit):
    assert error(normal, dual_levels(normal, half_bits)) < limit * error(normal, uniform_levels(normal, bits))


def test_short_rows_come_near_to_an_exhaustive_search():
    generator = torch.Generator().manual_seed(1)
    for x in torch.randn(2, 7, generator=generator):
        found = error(x, dual_levels(x, 2))
        top = float(x.abs().max())
        best = min(
            error(x, levels * top * f / float(levels.abs().max()))
            for levels in (sums(pair, 2) for pair in ratios())
            for f in torch.linspace(0.3, 1.1, 60).tolist()
        )
        assert found < 1.1 * best + 5e-4 * float(x.square().mean())


def test_rows_are_independent_and_dead_ones_legal(normal):
    rows = torch.stack([normal[:300], torch.zeros(300), 1e-3 * normal[300:600]])
    pair, step = joint_search(rows, 4)
    assert (step > 0).all()
    assert torch.isfinite(step).all()
    alone = joint_search(rows[2:], 4)
    assert torch.equal(pair[2], alone[0][0])
    assert step[2] == alone[1][0]
