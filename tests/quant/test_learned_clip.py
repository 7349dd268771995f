"""The rule of PACT: gradient of the clip, its penalty, the relation to LSQ."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kompakt._core.errors import QuantizerError
from kompakt.quant import METHODS, Quantizer, QuantizerTraining
from kompakt.quant.quantizer import Parts

BITS = (2, 4)


def quantizer(bits: int, clip: float, method: str = "pact") -> Quantizer:
    made = Quantizer(METHODS[method], bits, signed=False, sample_axis=True).train()
    with torch.no_grad():
        made.rule.clip.fill_(clip)
    return made


def rectified(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).clamp_min(0)


@pytest.mark.parametrize("bits", BITS)
def test_the_clip_learns_from_clipped_values_alone(bits):
    """Card, test 1: the sum of upstream gradients over x >= α, exactly 0 if none is."""
    x, upstream = rectified(6, 50).requires_grad_(), rectified(6, 50, seed=1) - 0.3
    some, none = quantizer(bits, 1.2), quantizer(bits, 50.0)
    (some(x) * upstream).sum().backward()
    assert some.rule.clip.grad.item() == pytest.approx(float(upstream[x >= 1.2].sum()), rel=1e-5)
    assert torch.equal(x.grad, torch.where(x < 1.2, upstream, 0))
    (none(x) * upstream).sum().backward()
    assert none.rule.clip.grad.item() == 0


def test_a_value_on_the_clip_counts_as_clipped():
    x, some = torch.tensor([0.0, 1.0, 1.25, 1.5]).requires_grad_(), quantizer(2, 1.25)
    some(x).sum().backward()
    assert x.grad.tolist() == [1, 1, 0, 0]
    assert some.rule.clip.grad.item() == 2


@pytest.mark.parametrize("bits", BITS)
def test_the_calibrated_gradient_is_that_of_lsq_over_the_number_of_steps(bits):
    """Card, section 3: α = s·(2^b - 1)."""
    x, upstream, top = rectified(6, 50), rectified(6, 50, seed=1) - 0.3, 2**bits - 1
    plus = quantizer(bits, 1.2, "pact_plus")
    lsq = Quantizer(METHODS["lsq"], bits, signed=False, sample_axis=True)
    with torch.no_grad():
        lsq.rule.step.fill_(1.2 / top)
    (plus(x) * upstream).sum().backward()
    (lsq(x) * upstream).sum().backward()
    assert plus.rule.clip.grad.item() == pytest.approx(lsq.rule.step.grad.item() / top, rel=1e-4)
    assert not torch.isclose(plus.rule.clip.grad, upstream[x >= 1.2].sum(), rtol=1e-3)


def test_the_forward_pass_is_the_printed_one():
    """y = 0.5(|x| - |x - α| + α), rounded to 2^b - 1 steps."""
    x, clip = rectified(400), 1.3
    y = 0.5 * (x.abs() - (x - clip).abs() + clip)
    expected = torch.round(y * 15 / clip) * clip / 15
    torch.testing.assert_close(quantizer(4, clip)(x).detach(), expected, rtol=1e-6, atol=1e-6)


def test_the_loss_gets_half_the_squared_clip_and_lowers_it():
    net = nn.Sequential(quantizer(4, 3.0), nn.Identity(), quantizer(4, 4.0))
    training = QuantizerTraining(net)
    penalty = training.penalty()
    assert penalty.item() == pytest.approx(1e-4 / 2 * (9 + 16))
    penalty.backward()
    assert net[0].rule.clip.grad.item() == pytest.approx(1e-4 * 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    optimizer.step()
    training.after_step()
    assert net[0].rule.clip.item() < 3.0
    assert QuantizerTraining(nn.Linear(2, 2)).penalty() is None


def test_negative_levels_are_refused():
    with pytest.raises(QuantizerError, match="unsigned activations, not signed activations"):
        Quantizer(METHODS["pact"], 4, signed=True, sample_axis=True)
    with pytest.raises(QuantizerError, match="unsigned uniform grid"):
        Quantizer(Parts("uniform", "learned_clip", "clip_only", "tensor", (4,)), 4, signed=True)
