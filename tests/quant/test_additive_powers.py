"""Additive powers of two: the levels, normalised weights, and the gradient of the clip."""

from __future__ import annotations

import itertools

import pytest
import torch

from kompakt._core.errors import QuantizerError
from kompakt.quant import METHODS, Quantizer
from kompakt.quant.additive_powers import magnitudes

CARDS = {  # levels as the authors' trained networks state them, as shares of the clip
    1: (0.0, 1.0),
    2: (0.0, 0.25, 0.5, 1.0),
    3: (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0),
    4: (0, 1 / 48, 1 / 24, 1 / 16, 1 / 12, 1 / 8, 1 / 6, 3 / 16, 1 / 4, 1 / 3, 3 / 8, 1 / 2, 2 / 3, 11 / 16, 3 / 4, 1),
}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def of_weights(bits: int, w: torch.Tensor) -> Quantizer:
    quantizer = Quantizer(METHODS["apot"], bits, signed=True)
    quantizer.fit(w)
    return quantizer


def of_activations(bits: int, x: torch.Tensor) -> Quantizer:
    quantizer = Quantizer(METHODS["apot"], bits, signed=False, sample_axis=True)
    quantizer.fit(x)
    return quantizer


@pytest.mark.parametrize("bits", CARDS)
def test_magnitudes_are_those_of_the_published_networks(bits):
    found = magnitudes(bits)
    torch.testing.assert_close(torch.tensor(found) / max(found), torch.tensor(CARDS[bits]), rtol=0, atol=1e-7)


def test_magnitudes_of_four_bits_are_sums_of_two_powers_or_zero():
    """Paper, section 2.2 with k = 2, n = 2: γ·(p0 + p1), p0 in {0, 1, 2^-2, 2^-4}, p1 in {0, 2^-1, 2^-3, 2^-5}."""
    terms = itertools.product((0, 1, 2**-2, 2**-4), (0, 2**-1, 2**-3, 2**-5))
    assert sorted(32 * (first + second) for first, second in terms) == list(magnitudes(4))


def test_other_bits_are_refused():
    with pytest.raises(QuantizerError, match="1 to 4 bits, got 5"):
        magnitudes(5)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_weights_are_normalised_before_they_meet_levels(bits):
    """As the released networks: ((w - mean) / std) / α, clipped, to the nearest level, times α."""
    w = 0.3 * normal(8, 4, 3, 3) + 0.05
    quantizer, rule = of_weights(bits, w), of_weights(bits, w).rule
    quantizer.load_state_dict(
        {**quantizer.state_dict(), "rule.unit": torch.ones(1), "rule.clip": torch.full((1,), 2.1)}
    )
    whole = torch.tensor(magnitudes(bits - 1))
    levels = torch.cat([-whole.flip(0), whole]) / whole.max()
    v = ((w - w.mean()) / w.std() / 2.1).clamp(-1, 1)
    expected = 2.1 * levels[(v[..., None] - levels).abs().argmin(-1)]
    torch.testing.assert_close(quantizer(w), expected)
    assert abs(rule.unit.item() - w.std().item()) < 1e-6, "a trained network keeps its scale"


def test_a_shift_and_a_factor_of_all_weights_change_nothing():
    w, quantizer = normal(8, 36), of_weights(3, normal(8, 36))
    before = quantizer(w)
    quantizer.rule.follow(5 * w + 2)
    torch.testing.assert_close(quantizer(5 * w + 2), before)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_gradient_is_that_of_the_formula(bits):
    """x̂ = α·round(clip(v / α)), straight through the rounding: the reference is automatic differentiation."""
    quantizer, x = of_activations(bits, normal(4, 50).relu()), 2 * normal(4, 50, seed=1).relu()
    quantizer.rule.gradient_scale = 1.0
    x, weight = x.requires_grad_(), normal(4, 50, seed=2)
    (quantizer.train()(x) * weight).sum().backward()
    alpha = quantizer.rule.clip.detach().clone().requires_grad_()
    again = x.detach().clone().requires_grad_()
    share = (again / alpha).clamp(0, 1)
    levels = torch.tensor(magnitudes(bits)) / max(magnitudes(bits))
    rounded = levels[(share.detach()[..., None] - levels).abs().argmin(-1)]
    (alpha * (share + (rounded - share).detach()) * weight).sum().backward()
    torch.testing.assert_close(x.grad, again.grad)
    torch.testing.assert_close(quantizer.rule.clip.grad, alpha.grad)


def test_the_start_loses_least_among_clips():
    x = normal(4, 500).relu()
    quantizer = of_activations(2, x)
    best, clip = (quantizer(x) - x).square().sum(), quantizer.rule.clip.detach().clone()
    for factor in (0.7, 0.9, 1.1, 1.4):
        with torch.no_grad():
            quantizer.rule.clip.copy_(factor * clip)
        assert (quantizer(x) - x).square().sum() > best


def test_levels_are_whole_numbers_and_steps_finer_near_zero():
    encoding, scale = of_weights(4, normal(8, 90)).encoding()
    assert encoding.table()[0].tolist() == [-10, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 10, 10]
    assert scale.shape == (1,)
