"""Nested codes: prefixes, cells without bias, and the gradient of the clip as it is printed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kompakt._core.errors import QuantizerError
from kompakt.encoding import Affine, Planes
from kompakt.quant import METHODS, Quantizer
from kompakt.quant.nested_codes import HALF, Nested, SharedClip

WIDTHS = (2, 3, 4, 7, 8)


def sharing(clip: float = 1.0, grains: int = 1) -> dict[int, Quantizer]:
    """Quantizers of several bit-widths with one rule."""
    made = {bits: Quantizer(METHODS["adaptive"], bits, True, grains) for bits in WIDTHS}
    for quantizer in made.values():
        quantizer.rule = made[2].rule
    with torch.no_grad():
        made[2].rule.clip.fill_(clip)
    return made


def test_every_code_of_fewer_bits_begins_every_longer_one():
    x = torch.linspace(-1.3, 1.3, 4001)[None]
    codes = {bits: quantizer.encode(x)[0] for bits, quantizer in sharing().items()}
    for few in WIDTHS:
        for many in WIDTHS:
            if few <= many:
                assert np.array_equal(codes[few], codes[many] >> (many - few))


def test_rounding_would_not_nest():
    """The usual uniform grids of 4 and 2 bits over one range: a code of 2 bits does not follow from one of 4."""
    x = torch.linspace(-1, 1, 4001)
    four, two = (torch.clamp(torch.round(x * 2 ** (b - 1)), -(2 ** (b - 1)), 2 ** (b - 1) - 1) for b in (4, 2))
    assert (torch.floor(four / 4) != two).any()


def test_cells_have_equal_widths_and_hardly_a_bias():
    """The mean of quantized symmetric values is far below a step; a floor's would be half a step below zero.

    What is left is half a step of 8 bits, to which values are rounded first.
    """
    x = torch.randn(1, 200_001, generator=torch.Generator().manual_seed(0))
    for bits, quantizer in sharing(2.0).items():
        values, step = quantizer(x).detach(), 2.0 / 2 ** (bits - 1)
        assert abs(float((values - x.clamp(-2, 2)).mean())) < 0.02 * step + 1 / HALF
        inside = x.abs() < 1.9
        assert (values - x)[inside].abs().max() <= step * (0.5 + 2.0 ** (bits - 9)) * 1.0001


def test_two_bits_are_the_optimal_uniform_levels_of_normal_values():
    """Max 1960: four even levels have the least error, 0.1188, at a distance of 0.9957 deviations."""
    quantizer, x = sharing()[2], torch.randn(1, 100_000, generator=torch.Generator().manual_seed(1))
    quantizer.fit(x)
    assert quantizer.rule.clip.item() / 2 == pytest.approx(0.9957, rel=0.05)
    assert (quantizer(x) - x).square().mean().item() == pytest.approx(0.1188, rel=0.02)


@pytest.mark.parametrize("bits", WIDTHS)
def test_gradients_are_the_printed_ones(bits):
    quantizer = sharing(1.0)[bits]
    quantizer.rule.gradient_scale = 0.25
    x = torch.tensor([[-3.0, -0.61, -0.02, 0.0, 0.3, 0.77, 2.0]], requires_grad=True)
    y = quantizer(x)
    y.sum().backward()
    step, grid = 1.0 / HALF, Nested(bits, True)
    inside = x.detach().abs() < (HALF - 1) * step
    assert torch.equal(x.grad, inside.float())
    middle = y.detach() / step
    of_step = torch.where(inside, middle - x.detach() / step, middle).sum()
    assert float(quantizer.rule.clip.grad) == pytest.approx(0.25 * float(of_step) / HALF, rel=1e-4, abs=1e-5)
    assert grid.width == 2 ** (8 - bits)


def test_files_hold_8_bits_as_integers_and_fewer_as_planes():
    made = sharing()
    assert made[8].encoding()[0] == Affine(8, signed=True)
    assert made[3].encoding()[0] == Planes(3, np.array([1, 2, -4]), "pm")
    with torch.no_grad():
        assert made[3].encoding()[1] == pytest.approx(1 / 8)  # half a cell


@pytest.mark.parametrize("bits", WIDTHS)
def test_thresholds_between_levels_give_the_codes(bits):
    quantizer = sharing(0.9)[bits]
    x = torch.linspace(-1.2, 1.2, 9001)[None]
    thresholds, codes = quantizer.thresholds()
    index = (x[0].numpy()[:, None] > thresholds).sum(1)
    assert np.array_equal(np.array(codes)[index], quantizer.encode(x)[0][0])


def test_impossible_uses_are_refused():
    with pytest.raises(QuantizerError, match="both signs"):
        Nested(4, False)
    with pytest.raises(QuantizerError, match="nested codes"):
        SharedClip(Quantizer(METHODS["lsq"], 4, True).grid, 1, False)
