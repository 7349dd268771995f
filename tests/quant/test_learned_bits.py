"""BitPruning: interpolation between whole bit-widths, its gradient, what the term in the loss does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from kompakt.quant import METHODS, Quantizer, QuantizerTraining
from kompakt.quant.learned_bits import PACE, STRENGTH
from kompakt.quant.slots import WeightSlot

PARTS = METHODS["bit_pruning"]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def quantizer(bits: float, x: torch.Tensor, is_activation: bool = False) -> Quantizer:
    """A quantizer of at most 8 bits that has learned `bits`."""
    made = Quantizer(PARTS, 8, signed=not is_activation, sample_axis=is_activation)
    made.fit(x)
    with torch.no_grad():
        made.rule.pace.fill_(bits / PACE)
    return made.eval()


def even(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Plain quantizer of the range -largest to largest: 2^bits levels; 255 of 8 bits, which fit a signed byte."""
    largest = x.abs().max()
    step = 2 * largest / (2**bits - 1 if bits < 8 else 254)
    return torch.round((x + largest) / step) * step - largest


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 7])
def test_whole_bits_are_the_plain_quantizer_and_between_them_is_a_line(bits):
    """Card, test 1."""
    x = normal(8, 50)
    torch.testing.assert_close(quantizer(bits, x)(x), even(x, bits), rtol=1e-5, atol=1e-5)
    for share in (0.25, 0.5, 0.999):
        expected = (1 - share) * even(x, bits) + share * even(x, bits + 1)
        torch.testing.assert_close(quantizer(bits + share, x)(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("is_activation", [False, True])
@pytest.mark.parametrize("bits", [2.0, 2.3, 5.75])
def test_the_gradient_of_the_bits_is_printed_and_that_of_values_is_one(bits, is_activation):
    """Card, test 2: the sum of g·(Q_{n+1} - Q_n); against differences in b."""
    x, upstream = normal(8, 50), normal(8, 50, seed=1)
    x = (x.clamp_min(0) if is_activation else x).requires_grad_()
    made = quantizer(bits, x.detach(), is_activation)
    (made(x) * upstream).sum().backward()
    ahead = quantizer(bits + 0.01, x.detach(), is_activation)
    with torch.no_grad():
        slope = ((ahead(x) - made(x)) * upstream).sum() / 0.01
    assert PACE * made.rule.pace.grad.item() == pytest.approx(slope.item(), rel=2e-2, abs=2e-2)
    assert torch.equal(x.grad, upstream)


@pytest.mark.parametrize(("bits", "ratio"), [(1, 0.061), (2, 0.159), (3, 0.218), (4, 0.234), (5, 0.242)])
def test_errors_shrink_from_bit_to_bit_as_computed_for_normal_values(bits, ratio):
    """Card, section 7: E_{n+1} / E_n of 200,000 normal values in the range from the smallest to the largest."""
    x = normal(200, 1000)
    errors = [(quantizer(b, x)(x) - x).square().mean().item() for b in (bits, bits + 1)]
    assert errors[1] / errors[0] == pytest.approx(ratio, abs=0.01)


@pytest.mark.parametrize(("bits", "best", "least"), [(3, 0.92, 0.975), (4, 0.90, 0.958), (5, 0.89, 0.954)])
def test_a_mixture_of_two_widths_beats_the_wider_one(bits, best, least):
    """Card, section 7: the fraction with the least error, and that error against the one of n + 1 bits."""
    x = normal(200, 1000)
    shares = torch.arange(0.8, 1.0, 0.01)
    errors = torch.tensor([(quantizer(bits + float(a), x)(x) - x).square().mean().item() for a in shares])
    assert float(shares[errors.argmin()]) == pytest.approx(best, abs=0.03)
    whole = (quantizer(bits + 1, x)(x) - x).square().mean().item()
    assert float(errors.min() / whole) == pytest.approx(least, abs=0.01)


def test_a_stronger_term_leaves_fewer_bits():
    """Card, test 4: reconstruction error over variance plus strength times bits, over a geometric grid."""
    x, found = normal(20, 100), []
    for strength in (1e-4, 1e-2, 1e-1, 100.0):
        made = quantizer(6, x)
        optimizer = torch.optim.SGD(made.parameters(), lr=0.2)
        for _ in range(300):
            loss = (made(x) - x).square().mean() / x.var() + strength * made.rule.learned.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            made.rule.after_step()
        found.append(made.rule.learned.item())
    assert all(b <= a + 0.05 for a, b in pairwise(found)), found
    assert found[0] > 3.5
    assert found[-1] == pytest.approx(1, abs=0.01)


def test_the_loss_gets_a_share_for_every_bit_of_every_quantizer():
    net = nn.Sequential(quantizer(3.5, normal(4, 4)), quantizer(6, normal(4, 4)))
    assert QuantizerTraining(net).penalty().item() == pytest.approx(STRENGTH * 9.5, rel=1e-5)


def test_training_tells_the_mean_of_the_bits_of_weights():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 12))
    for layer, bits in zip(net, (3.5, 6), strict=True):
        slot = WeightSlot(quantizer(bits, layer.weight.detach()), "bit_pruning")
        parametrize.register_parametrization(layer, "weight", slot)
    training = QuantizerTraining(net)
    assert training.mean_bits() == pytest.approx((16 * 3.5 + 48 * 6) / 64)
    training.finish()
    assert training.mean_bits() == pytest.approx((16 * 4 + 48 * 6) / 64)
    assert QuantizerTraining(nn.Linear(2, 2)).mean_bits() is None


@pytest.mark.parametrize(("bits", "whole"), [(3.2, 4), (4.0005, 4), (4.9, 5), (7.3, 8), (2.0, 2), (1.0, 1)])
def test_bits_are_rounded_up_in_the_end_and_stay(bits, whole):
    x = normal(8, 50)
    made = quantizer(bits, x).train()
    made.finish()
    optimizer = torch.optim.SGD(made.parameters(), lr=1.0)
    for _ in range(3):
        made(x).square().sum().backward()
        optimizer.step()
        made.rule.after_step()
        assert made.rule.final_parameters()["bits"].item() == whole
    codes, encoding, scale = made.eval().encode(x)
    assert encoding.bits == whole
    assert len(np.unique(codes)) <= 2**whole
    assert np.array_equal(made.decode(codes, encoding, scale), made(x).detach().numpy())


def test_every_channel_has_its_own_range_and_all_have_the_same_bits():
    x = normal(8, 50) * torch.logspace(-2, 1, 8)[:, None]
    made = Quantizer(PARTS, 8, signed=True, grains=8)
    made.fit(x)
    with torch.no_grad():
        made.rule.pace.fill_(3 / PACE)
    expected = torch.cat([even(row[None], 3) for row in x])
    torch.testing.assert_close(made(x), expected, rtol=1e-5, atol=1e-6)
    codes, encoding, scale = made.encode(x)
    assert (encoding.bits, len(scale), made.rule.pace.numel()) == (3, 8, 1)
    assert np.array_equal(made.decode(codes, encoding, scale), made(x).detach().numpy())


def test_the_range_follows_weights_and_averages_activations():
    x = normal(8, 50)
    made = quantizer(4, x)
    made.rule.follow(3 * x)
    assert made.rule.range.item() == pytest.approx(3 * float(x.abs().max()))
    acts = quantizer(4, x.clamp_min(0), is_activation=True).train()
    before = acts.rule.range.item()
    acts(2 * x.clamp_min(0))
    assert acts.rule.range.item() == pytest.approx(1.1 * before, rel=1e-5)
