"""BitPruning: interpolation between whole bit-widths, its gradient, what the term in the loss does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from kompakt.quant import METHODS, Quantizer, QuantizerTraining
from kompakt.quant.learned_bits import PACE, STRENGTH

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
    """Plain quantizer of the signed range with a zero."""
    highest = 2 ** (bits - 1) - 1
    step = x.abs().max() / highest
    return torch.round(x / step) * step


@pytest.mark.parametrize("bits", [2, 3, 4, 7])
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


def test_errors_shrink_by_about_a_quarter_per_bit():
    """Card, section 7: E_{n+1} / E_n tends to 0.25."""
    x = normal(200, 1000)
    errors = [(quantizer(bits, x)(x) - x).square().mean().item() for bits in (5, 6, 7)]
    assert errors[1] / errors[0] == pytest.approx(0.25, abs=0.03)
    assert errors[2] / errors[1] == pytest.approx(0.25, abs=0.02)


def test_a_stronger_term_leaves_fewer_bits():
    """Card, test 4: reconstruction error over variance plus strength times bits, over a geometric grid."""
    x, found = normal(20, 100), []
    for strength in (1e-4, 1e-2, 1e-1, 10.0):
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
    assert found[-1] == pytest.approx(2, abs=0.01)


def test_the_loss_gets_a_share_for_every_bit_of_every_quantizer():
    net = nn.Sequential(quantizer(3.5, normal(4, 4)), quantizer(6, normal(4, 4)))
    assert QuantizerTraining(net).penalty().item() == pytest.approx(STRENGTH * 9.5, rel=1e-5)


@pytest.mark.parametrize(("bits", "whole"), [(3.2, 4), (4.0005, 4), (4.9, 5), (7.3, 8), (2.0, 2)])
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


def test_the_range_follows_weights_and_averages_activations():
    x = normal(8, 50)
    made = quantizer(4, x)
    made.rule.follow(3 * x)
    assert made.rule.range.item() == pytest.approx(3 * float(x.abs().max()))
    acts = quantizer(4, x.clamp_min(0), is_activation=True).train()
    before = acts.rule.range.item()
    acts(2 * x.clamp_min(0))
    assert acts.rule.range.item() == pytest.approx(1.1 * before, rel=1e-5)
