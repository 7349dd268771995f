"""Binarized networks: gradient, box, sign of zero, and exact zero padding between bits that know no zero."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kompakt.artifact import to_bytes
from kompakt.deploy import lower
from kompakt.engine import load
from kompakt.engine.reference import run, run_all
from kompakt.quant import METHODS, Quantizer, QuantizerTraining
from support.nets import scramble
from support.quantized import EIGHT, Setup, layer, quantized

PARTS = METHODS["bnn"]
BINARY = layer("bnn1", "bnn1")


@pytest.mark.parametrize("is_activation", [False, True])
def test_the_gradient_is_that_of_hard_tanh(is_activation):
    """Card, test 2: exactly 0 for |r| > 1, the upstream gradient for |r| <= 1."""
    x = torch.linspace(-3, 3, 121).reshape(11, 11).requires_grad_()
    upstream = torch.randn(11, 11, generator=torch.Generator().manual_seed(0))
    y = Quantizer(PARTS, 1, True, sample_axis=is_activation).train()(x)
    (y * upstream).sum().backward()
    assert torch.equal(y, torch.where(x >= 0, 1.0, -1.0))
    assert torch.equal(x.grad, torch.where(x.detach().abs() <= 1, upstream, 0))


def test_float_weights_stay_in_their_box():
    graph = quantized(net(), torch.randn(4, 3, 9, 9), Setup(BINARY, EIGHT, None))
    module = graph.module.train()
    optimizer, training = torch.optim.Adam(module.parameters(), lr=0.5), QuantizerTraining(module)
    weights = [w for q, w in training.pairs if q.parts is PARTS and w is not None]
    for _ in range(3):
        loss = module(torch.randn(8, 3, 9, 9)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        training.after_step()
        assert all(w.abs().max() <= 1 for w in weights)
    assert any((w.abs() == 1).any() for w in weights), "steps were too small to reach the wall"


def test_the_sign_of_zero_is_plus_in_training_and_in_the_file():
    """Trap T1."""
    quantizer = Quantizer(PARTS, 1, True, sample_axis=True).eval()
    thresholds, codes = quantizer.thresholds()
    x = torch.tensor([0.0, -0.0, 1e-38, -1e-38, 0.3, -0.3])
    index = (x.numpy()[:, None] > thresholds).sum(1)
    assert quantizer(x).tolist() == [1, 1, 1, -1, 1, -1]
    assert np.array_equal(np.array(codes)[index], quantizer.encode(x)[0])


def net() -> nn.Sequential:
    """Binary convolutions with odd channels, stride 2 and padding of a whole kernel; batch-norms of both signs."""
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.Hardtanh()]
    for inputs, outputs, options in ((5, 7, {"stride": 2}), (7, 67, {"padding": 2}), (67, 6, {"padding": 1})):
        conv = nn.Conv2d(inputs, outputs, 3, **{"padding": 1, **options}, bias=False)
        parts += [conv, nn.BatchNorm2d(outputs), nn.Hardtanh()]
    made = nn.Sequential(*parts, nn.Flatten(), nn.Linear(6 * 7 * 7, 4)).eval()
    for part in made:
        if isinstance(part, nn.BatchNorm2d):
            scramble(part)
    return made


def test_bits_without_a_zero_are_padded_with_zero():
    """Card, trap T2 and test 1: at borders the sum runs over what is there, in network, reference and engine."""
    x = torch.randn(5, 3, 9, 9, generator=torch.Generator().manual_seed(2))
    graph = quantized(net(), x, Setup(BINARY, EIGHT, None))
    program = lower(graph)
    values = run_all(program, x.numpy())
    convolutions = [node for node in program.nodes if node.op == "conv2d"][1:]
    assert [node.attrs["weight"].encoding.bits for node in convolutions] == [1, 1, 1]
    for node in convolutions:
        signs = 2.0 * torch.from_numpy(values[node.inputs[0]].astype(np.float64)) - 1  # codes 0, 1
        weights = torch.from_numpy(node.attrs["weight"].levels().astype(np.float64))
        sums = F.conv2d(signs, weights, stride=node.attrs["stride"], padding=node.attrs["padding"])
        assert np.array_equal(sums.numpy(), values[node.name])
    engine = load(to_bytes(program, {}))
    assert np.array_equal(engine(x.numpy()), run(program, x.numpy()))
    with torch.no_grad():
        assert np.array_equal(engine(x.numpy()).argmax(1), graph.module(x).numpy().argmax(1))


def test_a_weight_takes_one_bit():
    data = to_bytes(lower(quantized(nn.Sequential(nn.Linear(9, 1000), nn.Hardtanh(), nn.Linear(1000, 1000, bias=False),
                                                  nn.Hardtanh(), nn.Linear(1000, 3)), torch.randn(8, 9),
                                    Setup(BINARY, EIGHT, None))), {})  # fmt: skip
    assert len(data) < 1000 * 1000 / 8 + 40_000
