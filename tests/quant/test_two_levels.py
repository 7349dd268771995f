"""AdaBin: two levels with a centre and a distance, their gradients, and their whole-number form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kompakt._core.errors import QuantizerError
from kompakt.artifact import to_bytes
from kompakt.deploy import lower
from kompakt.engine import load
from kompakt.engine.reference import run
from kompakt.quant import METHODS, Parts, Quantizer
from kompakt.quant.two_levels import whole_pair
from support.nets import build
from support.quantized import EIGHT, Setup, layer, quantized


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def of_activations(x: torch.Tensor) -> Quantizer:
    quantizer = Quantizer(METHODS["adabin"], 1, signed=True, sample_axis=True)
    quantizer.fit(x)
    return quantizer.train()


def set_to(quantizer: Quantizer, alpha: float, beta: float) -> None:
    with torch.no_grad():
        quantizer.rule.scale.fill_(alpha)
        quantizer.rule.center.fill_(beta)


def test_weights_are_mean_and_deviation_per_channel():
    """b = mean(w), a = sqrt(mean((w - b)²)), w_q = a·sign((w - b) / a) + b; no other pair of levels loses less."""
    w = normal(6, 40) * torch.linspace(0.2, 2, 6)[:, None] + 0.1
    quantizer = Quantizer(METHODS["adabin"], 1, signed=True, grains=6)
    quantizer.fit(w)
    b = w.mean(1, keepdim=True)
    a = (w - b).square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(quantizer(w), a * torch.sign((w - b) / a) + b)
    quantizer.rule.follow(w + 1)
    torch.testing.assert_close(quantizer(w + 1), a * torch.sign((w - b) / a) + b + 1)


def test_activations_are_as_printed():
    quantizer, x = of_activations(normal(4, 50)), normal(4, 50, seed=1)
    set_to(quantizer, 0.8, 0.3)
    torch.testing.assert_close(quantizer(x), 0.8 * (torch.sign((x - 0.3) / 0.8) + 0.3))


def test_the_gradient_is_that_of_the_formula_with_hard_tanh_for_the_sign():
    quantizer, x, weight = of_activations(normal(4, 50)), (2 * normal(4, 50, seed=1)).requires_grad_(), normal(4, 50)
    set_to(quantizer, 0.8, 0.3)
    (quantizer(x) * weight).sum().backward()
    alpha, beta = torch.tensor([0.8], requires_grad=True), torch.tensor([0.3], requires_grad=True)
    again = x.detach().clone().requires_grad_()
    v = (again - beta) / alpha
    soft = torch.nn.functional.hardtanh(v)
    (alpha * (soft + (torch.sign(v) - soft).detach() + beta) * weight).sum().backward()
    torch.testing.assert_close(x.grad, again.grad)
    torch.testing.assert_close(quantizer.rule.scale.grad, alpha.grad)
    torch.testing.assert_close(quantizer.rule.center.grad, beta.grad)


def test_the_start_loses_no_more_than_a_sign():
    x = normal(4, 500).relu() + 0.1 * normal(4, 500, seed=1)
    error = (of_activations(x)(x) - x).square().mean()
    sign = torch.sign(x) * x.abs().mean()
    assert error < 0.7 * (sign - x).square().mean()


def test_two_levels_become_whole_numbers_with_little_loss():
    levels = torch.tensor([[-1.0, 1.0], [-0.3, 1.1], [0.5, 0.7], [-2.0, 0.0], [-1e-3, 127.0], [0.0, 0.0]])
    whole, scale = whole_pair(levels)
    assert torch.equal(whole, whole.round())
    assert whole.abs().max() <= 127
    # A whole number beside one of 127: half a unit, shared by both levels at most; and the scale has 16 bits.
    assert ((whole * scale - levels).abs() <= levels.abs().amax(1, keepdim=True) * (0.5 / 127 + 2**-15)).all()
    random = normal(500, 2)
    whole, scale = whole_pair(random)
    share = ((whole * scale - random).abs().amax(1) / random.abs().amax(1)).mean()
    assert share < 1.5e-4, "most ratios have a whole-number form that is much nearer than half a unit"


def test_only_one_bit():
    with pytest.raises(QuantizerError, match="1 bit"):
        Quantizer(Parts("codebook", "two_levels", "two_sided", "tensor", (1, 2)), 2, signed=True)


def test_zero_padding_is_exact_although_no_level_is_zero():
    """The padded positions count as 0, in the network, the reference and the engine."""
    net, _ = build("signed")
    x = normal(5, 3, 8, 8)
    graph = quantized(net, x, Setup(layer("adabin1", "adabin1"), EIGHT, None))
    program = lower(graph)
    levels = {node.attrs["encoding"] for node in program.nodes if "encoding" in node.attrs}
    assert any(encoding.bits == 1 and 0 not in encoding.table() for encoding in levels)
    with torch.no_grad():
        expected = graph.module(x).numpy()
    found = run(program, x.numpy())
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert np.array_equal(load(to_bytes(program, {}))(x.numpy()), found)
