"""The rule of SAWB: printed optima, the replacement where the formula fails, grids without zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kompakt.quant import METHODS, Quantizer

SAMPLES = 40_001
FAMILIES = {
    "normal": lambda u: torch.erfinv(2 * u - 1) * 2**0.5,
    "uniform": lambda u: (2 * u - 1) * 3**0.5,
    "laplace": lambda u: -torch.sign(u - 0.5) * torch.log1p(-2 * (u - 0.5).abs()) / 2**0.5,
    "logistic": lambda u: torch.logit(u) * 3**0.5 / torch.pi,
    "triangle": lambda u: torch.where(u < 0.5, (2 * u).sqrt() - 1, 1 - (2 - 2 * u).sqrt()) * 6**0.5,
}
# Card, section 4: clip and squared error of the best four levels, unit variance.
OPTIMA = {
    "normal": (1.4935, 0.118844), "uniform": (1.2990, 0.062500), "laplace": (1.6311, 0.196286),
    "logistic": (1.5774, 0.151683), "triangle": (1.4309, 0.094059),
}  # fmt: skip


def weights(family: str) -> torch.Tensor:
    """Values at even quantiles of a distribution of unit variance."""
    u = (torch.arange(SAMPLES, dtype=torch.float64) + 0.5) / SAMPLES
    return FAMILIES[family](u).float().reshape(1, -1)


def fitted(method: str, bits: int, x: torch.Tensor) -> Quantizer:
    quantizer = Quantizer(METHODS[method], bits, signed=True)
    quantizer.fit(x)
    return quantizer.eval()


def error(quantizer: Quantizer, x: torch.Tensor) -> float:
    return float((quantizer(x) - x).square().mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_four_levels_are_near_the_printed_optimum(family):
    """Card, test 2: the clip within 3 %, the squared error within 2 %."""
    x = weights(family)
    quantizer = fitted("sawb", 2, x)
    clip, least = OPTIMA[family]
    assert 3 * quantizer.rule.step.item() == pytest.approx(clip, rel=0.03)
    assert error(quantizer, x) == pytest.approx(least, rel=0.02)


def test_the_largest_magnitude_is_a_bad_clip():
    x = weights("normal")
    quantizer = fitted("sawb", 2, x)
    good = error(quantizer, x)
    quantizer.rule.step.fill_(float(x.abs().max()) / 3)
    assert error(quantizer, x) > 3 * good


@pytest.mark.parametrize(("method", "bits"), [("sawb", 4), ("sawb", 5), ("sawb_zero", 4), ("sawb_zero", 8)])
def test_weights_near_two_values_are_kept(method, bits):
    """Card, test 4: the bare formula gives a negative clip here, or one that crushes every weight (15 levels)."""
    noise = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    x = (torch.arange(4000) % 2 * 2 - 1) * 0.05 * (1 + 0.01 * noise)
    quantizer = fitted(method, bits, x)
    assert quantizer.rule.step > 0
    assert (quantizer(x) - x).norm() < 0.011 * x.norm()


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_the_grid_has_all_odd_levels_and_no_zero(bits):
    """Card, test 6: the integers of 2 bits are -3, -1, 1, 3."""
    x = weights("normal")
    encoding, _ = fitted("sawb", bits, x).encoding()
    assert np.array_equal(np.sort(encoding.table()[0]), np.arange(1 - 2**bits, 2**bits, 2))
    assert fitted("sawb", bits, x)(x).abs().min() > 0


def test_one_bit_is_the_mean_magnitude():
    x = weights("laplace")
    assert fitted("sawb", 1, x).rule.step.item() == pytest.approx(float(x.abs().mean()))


def test_values_on_zero_go_up_in_training_and_in_the_file():
    quantizer = fitted("sawb", 2, weights("normal"))
    thresholds, codes = quantizer.thresholds()
    x = torch.tensor([0.0, -0.0, 1e-30, -1e-30])
    assert quantizer(x).sign().tolist() == [1, 1, 1, -1]
    found = np.array(codes)[(x.numpy()[:, None] > thresholds).sum(1)]
    assert np.array_equal(found, quantizer.encode(x)[0])


def test_the_clip_follows_the_weights_in_training():
    x = weights("normal")
    quantizer = fitted("sawb", 3, x).train()
    before = quantizer.rule.step.clone()
    quantizer.rule.follow(2 * x)
    torch.testing.assert_close(quantizer.rule.step, 2 * before)


def test_weights_beyond_the_clip_get_no_gradient():
    x = weights("normal").requires_grad_()
    quantizer = fitted("sawb", 2, x.detach()).train()
    quantizer(x).sum().backward()
    assert torch.equal(x.grad, (x.detach().abs() <= 3 * quantizer.rule.step).float())
