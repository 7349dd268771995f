"""Power-of-two weights: alphabet, rounding by value and by logarithm, discrete and unbiased updates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from kompakt.artifact import to_bytes
from kompakt.deploy import lower
from kompakt.engine import load
from kompakt.engine.reference import run
from kompakt.graph import trace, use_shift_norms
from kompakt.quant import METHODS, Quantizer, QuantizerTraining
from kompakt.quant.attach import attach, calibrate
from support.nets import scramble
from support.quantized import EIGHT, Setup, layer, quantized

BITS = (2, 3, 4)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fitted(method: str, bits: int, x: torch.Tensor) -> Quantizer:
    quantizer = Quantizer(METHODS[method], bits, signed=True)
    quantizer.fit(x)
    return quantizer.train()


def alphabet(quantizer: Quantizer) -> torch.Tensor:
    return quantizer.rule.final_parameters()["levels"][0].unique()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("largest", [0.76, 1.4999, 1.5, 3.0, 0.011])
def test_the_alphabet_is_the_printed_one(bits, largest):
    """Card, section 4: e_max = floor(log2(4·max / 3)), 2^(b-1) - 1 exponents, zero."""
    quantizer = fitted("discrete_powers", bits, torch.tensor([[largest, -0.3 * largest]]))
    top = np.floor(np.log2(4 * np.float32(largest) / 3))
    positive = 2.0 ** (top - np.arange(2 ** (bits - 1) - 1))
    expected = np.sort(np.concatenate([positive, -positive, [0]]))
    assert np.array_equal(alphabet(quantizer).numpy(), expected.astype(np.float32))
    encoding, scale = quantizer.encoding()
    assert scale[0] == positive.min()
    assert set(np.abs(encoding.table()[0]).tolist()) == {0, *(2 ** np.arange(2 ** (bits - 1) - 1)).tolist()}


@pytest.mark.parametrize("bits", BITS)
def test_values_round_by_value(bits):
    """Card, section 4: nearest in value, zero below half the smallest power."""
    quantizer = fitted("discrete_powers", bits, normal(1, 500))
    x, levels = normal(40, 50, seed=1), alphabet(quantizer)
    assert torch.equal(quantizer(x), levels[(x[..., None] - levels).abs().argmin(-1)])
    assert not quantizer(torch.tensor([[0.499, -0.499]]) * quantizer.rule.unit).any()


def test_or_by_logarithm():
    """AP2(x) = sign(x)·2^round(log2|x|), clipped to the alphabet."""
    quantizer = fitted("qnn_log", 4, torch.tensor([[1.0, -0.2]]))
    unit, x = quantizer.rule.unit.item(), normal(40, 50, seed=1) * 0.6
    expected = torch.sign(x) * 2 ** torch.round(torch.log2(x.abs()))
    expected = torch.where(expected.abs() < unit, 0, expected).clamp(-64 * unit, 64 * unit)
    assert torch.equal(quantizer(x), expected)
    # Between 2 and 4 the two roundings part at sqrt(8) = 2.83 and at 3.
    by_value = fitted("discrete_powers", 4, torch.tensor([[1.0, -0.2]]))
    assert quantizer(torch.tensor([[2.9]]) * unit).item() == 4 * unit
    assert by_value(torch.tensor([[2.9]]) * unit).item() == 2 * unit


def test_updates_are_unbiased():
    """Card, test 3: the mean of many updates is where the optimizer went, within three standard errors."""
    quantizer, count = fitted("discrete_powers", 4, normal(1, 500)), 100_000
    levels = alphabet(quantizer)
    torch.manual_seed(0)
    for start, step in ((levels[9], 0.03), (levels[3], -0.01), (levels[7], 0.001), (levels[12], 0.2)):
        weight = torch.full((count, 1), float(start + step))
        quantizer.rule.follow(weight)
        error = weight.double().std() / count**0.5
        assert abs(float(weight.double().mean() - (start.double() + step))) < 3 * float(error) + 1e-6
        assert torch.isin(weight, levels).all()


def test_every_weight_is_in_the_alphabet_after_every_step():
    """Card, test 1; also where memory is laid out in channels-last order."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 3))
    graph = quantized(net.eval(), normal(4, 3, 8, 8), Setup(layer("discrete_powers3", "lsq4"), EIGHT, None))
    module = graph.module.train().to(memory_format=torch.channels_last)
    optimizer, training = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9), QuantizerTraining(module)
    for quantizer, _ in training.pairs:
        quantizer.rule.is_resting = False
    (quantizer, weight), moved = next((q, w) for q, w in training.pairs if q.parts.rule.startswith("discrete")), 0
    training.after_step()
    for _ in range(5):
        before = weight.detach().clone()
        loss = module(normal(8, 3, 8, 8)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        training.after_step()
        assert torch.isin(weight, alphabet(quantizer)).all()
        assert torch.equal(quantizer(weight), weight), "the gradient is taken where the weight is"
        moved += int((weight != before).sum())
    assert moved > 0


def test_weights_come_to_rest_in_the_end():
    quantizer, weight = fitted("discrete_powers", 3, normal(1, 500)), normal(8, 50)
    quantizer.rule.follow(weight)
    quantizer.finish()
    before = weight.clone()
    quantizer.rule.follow(weight.add_(1e-3 * normal(8, 50, seed=2)))
    assert torch.equal(weight, before)


def test_a_float_weight_goes_on_where_nothing_is_discrete():
    quantizer, weight = fitted("qnn_log", 3, normal(1, 500)), normal(8, 50)
    before = weight.clone()
    quantizer.rule.follow(weight)
    assert torch.equal(weight, before)


def test_a_network_of_powers_needs_no_product_but_shifts():
    """Card, test 4: integers with shifts alone equal the float simulation exactly, here with batch-norms by shifts."""
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for inputs, outputs in ((3, 8), (8, 16), (16, 8)):
        parts += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    net = nn.Sequential(*parts, nn.Flatten(), nn.Linear(8 * 64, 5, bias=False)).eval()
    for part in parts[1::3]:
        scramble(part)
    x = normal(16, 3, 8, 8)
    graph = use_shift_norms(trace(net, x))
    ends = layer("shift8", "shift8")
    inner = layer("discrete_powers4", "shift4")
    graph = attach(graph, {"0": ends, "3": inner, "6": inner, "10": layer("discrete_powers4", "shift8")}, None)
    calibrate(graph, x)
    program = lower(graph)
    weights = [node.attrs["weight"] for node in program.nodes if "weight" in node.attrs]
    assert all(set(np.abs(w.levels()).flatten().tolist()) <= {0, *2 ** np.arange(7)} for w in weights[1:])
    factors = [node.attrs["m"] for node in program.nodes if node.op == "affine"]
    assert all((np.abs(np.frexp(m[m != 0])[0]) == 0.5).all() for m in factors), "every factor is a power of two"
    inside = [node.op for node in program.nodes if node.name in ("3", "6")] + [
        node.op for node in program.nodes if node.op == "threshold"
    ]
    assert inside == ["conv2d", "conv2d", "threshold", "threshold"], "between 4-bit codes there are integers alone"
    with torch.no_grad():
        expected = graph.module.eval()(x).numpy()
    engine = load(to_bytes(program, {}))(x.numpy())
    assert np.array_equal(engine, run(program, x.numpy()))
    assert np.array_equal(engine, expected), "zero tolerance"
