"""SYQ: gradients of scales and weights, grains within the kernel, whole-number ratios in the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kompakt._core.errors import QuantizerError
from kompakt.artifact import to_bytes
from kompakt.deploy import lower
from kompakt.engine import load
from kompakt.engine.reference import run
from kompakt.graph import Parts
from kompakt.quant import METHODS, Quantizer
from kompakt.quant.gptq import rounded_to_outputs
from support.quantized import EIGHT, Setup, layer, quantized

GRAINS = ("syq", "syq_row", "syq_pixel")


def kernels(seed: int = 0) -> torch.Tensor:
    """Kernels whose centre is five times the border."""
    x = torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(seed))
    x[:, :, 1, 1] *= 5
    return x


def fitted(method: str, bits: int, x: torch.Tensor) -> Quantizer:
    quantizer = Quantizer(METHODS[method], bits, signed=True)
    quantizer.fit(x)
    return quantizer.train()


@pytest.mark.parametrize("method", GRAINS)
@pytest.mark.parametrize("bits", [1, 2])
def test_gradients_are_the_printed_ones(method, bits):
    """Card, section 4 and test 2: the sign for α; α for weights that are kept, 1 for those that are 0."""
    x = kernels().requires_grad_()
    quantizer, upstream = fitted(method, bits, x.detach()), kernels(1)
    (quantizer(x) * upstream).sum().backward()
    value, scale = quantizer(x).detach(), quantizer.rule.scale.detach()
    share = scale[quantizer.grid.position(x)].expand(x.shape)
    assert torch.equal(x.grad, upstream * torch.where(value == 0, torch.ones(()), share))
    signs = torch.sign(value) * upstream
    axes = {"syq": (0, 1, 2, 3), "syq_row": (0, 1, 3), "syq_pixel": (0, 1)}[method]
    expected, found = signs.sum(axes).flatten(), quantizer.rule.log_scale.grad / scale
    torch.testing.assert_close(found[: len(expected)], expected, rtol=1e-4, atol=1e-4)
    assert not found[len(expected) :].any()


@pytest.mark.parametrize("bits", [1, 2])
def test_descent_on_the_squared_error_ends_at_the_mean_magnitude(bits):
    """Card, test 1: of all weights at a position, or of those that are kept."""
    x = kernels()
    quantizer = fitted("syq_pixel", bits, x)
    start = quantizer.rule.scale.detach().clone()
    with torch.no_grad():
        quantizer.rule.log_scale.fill_(0.0)
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=0.05)
    for _ in range(200):
        loss = (quantizer(x) - x).square().sum(dim=(2, 3)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(quantizer.rule.scale[:9], start[:9], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bits", [1, 2])
def test_finer_grains_lose_less(bits):
    """Card, test 3: strictly, where positions differ."""
    x = kernels()
    layer_wise, row, pixel = ((fitted(m, bits, x)(x) - x).square().sum().item() for m in GRAINS)
    assert pixel < 0.9 * row < 0.9 * layer_wise


def test_the_threshold_is_a_share_of_the_largest_weight_and_follows_it():
    x = kernels()
    quantizer = fitted("syq", 2, x)
    edge = 0.05 * x.abs().max()
    assert torch.equal(quantizer(x) == 0, x.abs() < edge)
    quantizer.rule.follow(2 * x)
    assert quantizer.rule.threshold.item() == pytest.approx(2 * float(edge))


def test_weights_on_zero_and_on_the_threshold():
    quantizer = fitted("syq", 2, torch.tensor([[1.0, -0.5, 0.05, -0.05, 0.049]]))
    assert torch.sign(quantizer(torch.tensor([[1.0, 0.05, -0.05, 0.049, 0.0]]))).tolist() == [[1, 1, -1, 0, 0]]
    binary = fitted("syq", 1, torch.tensor([[1.0, -0.5]]))
    assert torch.sign(binary(torch.tensor([[0.0, -0.0, -1e-9]]))).tolist() == [[1, 1, -1]]


@pytest.mark.parametrize("method", ["syq_row", "syq_pixel"])
@pytest.mark.parametrize("bits", [1, 2])
def test_codes_decode_to_what_kernels_become(method, bits):
    x = kernels()
    quantizer = fitted(method, bits, x)
    quantizer.finish()
    codes, encoding, scale = quantizer.encode(x)
    assert encoding.bits == {"syq_row": 3, "syq_pixel": 5}[method]
    assert np.array_equal(quantizer.decode(codes, encoding, scale), quantizer.eval()(x).detach().numpy())
    for position in x.flatten(2).unbind(2):
        assert len(np.unique(position.sign())) <= 3
    assert quantizer.rule.snap_error() < 1 / 254


@pytest.mark.parametrize("method", GRAINS)
def test_the_engine_runs_every_grain(method):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 9, 3, padding=1, stride=2), nn.ReLU(),
        nn.Conv2d(9, 7, (3, 1), padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(7 * 5 * 7, 4),
    ).eval()  # fmt: skip
    x = torch.randn(3, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    graph = quantized(net, x, Setup(layer(f"{method}2", "lsq4"), EIGHT, None))
    program = lower(graph)
    found = run(program, x.numpy())
    assert np.array_equal(load(to_bytes(program, {}))(x.numpy()), found)
    with torch.no_grad():
        np.testing.assert_allclose(found, graph.module(x).numpy(), rtol=1e-3, atol=1e-4)


def test_a_kernel_with_more_positions_than_codes_name_is_refused():
    with pytest.raises(QuantizerError, match=r"kernel of 5 x 5 needs 25 scales, codes of 5 bits name 15"):
        fitted("syq_pixel", 1, torch.randn(4, 4, 5, 5))
    assert fitted("syq", 1, torch.randn(4, 4, 5, 5))(torch.randn(4, 4, 5, 5)).shape == (4, 4, 5, 5)


def test_rounding_for_the_outputs_is_refused():
    convolution = nn.Conv2d(2, 3, 3)
    quantizer = fitted("syq_pixel", 2, convolution.weight.detach())
    with pytest.raises(QuantizerError, match="no position of a kernel"):
        rounded_to_outputs(convolution, convolution.weight.detach(), quantizer, Parts((torch.randn(2, 2, 5, 5),)))
