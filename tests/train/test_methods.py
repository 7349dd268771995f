"""Every method of the table trains: a small net on digits, for weights and activations where the method does both."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from kompakt import compress
from kompakt.data import digits
from kompakt.graph import trace
from kompakt.quant import METHODS, Quantizer
from kompakt.quant.attach import Choice, LayerChoice, attach, calibrate
from kompakt.quant.quantizer import SIGNED, UNSIGNED, WEIGHTS
from kompakt.strategy.recipe import parse_recipe
from kompakt.train import TrainSettings, train
from kompakt.zoo import DigitsNet

pytestmark = pytest.mark.slow

FLOAT = TrainSettings(
    epochs=8, batch_size=64, optimizer="adam", lr=4e-3, distill=0.0, last_stage_epochs=0, bf16=False, compile=False
)
QUANTIZED = {
    "epochs": 8, "batch_size": 64, "optimizer": "adam", "lr": 4e-3, "warmup_epochs": 1, "temperature": 2.0,
    "last_stage_epochs": 2, "evaluate_every": 8, "bf16": False, "compile": False,
}  # fmt: skip
MOST_BITS = 3


class Curved(nn.Module):
    """A DigitsNet with tanh-like steps instead of ReLUs: activations of both signs."""

    def __init__(self) -> None:
        super().__init__()
        self.net = DigitsNet(16)
        for i, part in enumerate(self.net.features):
            if isinstance(part, nn.ReLU):
                self.net.features[i] = nn.Hardtanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@pytest.fixture(scope="module")
def float_nets(tmp_path_factory):
    """Trained nets by the sign of their activations."""
    nets = {}
    for role, make in {UNSIGNED: lambda: DigitsNet(16), SIGNED: Curved}.items():
        torch.manual_seed(0)
        net = make()
        train(net, digits(), FLOAT, tmp_path_factory.mktemp("float"))
        nets[role] = net.eval()
    return nets


def bits_and_sign(name: str) -> tuple[int, str]:
    """Few bits that the method can do, and the sign of activations to show it on."""
    parts = METHODS[name]
    bits = max([b for b in parts.bits if b <= MOST_BITS] or parts.bits[:1])
    return bits, UNSIGNED if UNSIGNED in parts.roles or parts.roles == {WEIGHTS} else SIGNED


@pytest.mark.parametrize("name", METHODS)
def test_training_compiles_into_one_graph(name):
    (bits, sign), roles = bits_and_sign(name), METHODS[name].roles
    choice, other = Choice(name, bits), Choice("lsq", 4)
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    graph = trace({UNSIGNED: lambda: DigitsNet(4), SIGNED: Curved}[sign](), x)
    inner = LayerChoice(choice if WEIGHTS in roles else other, choice if sign in roles else other)
    graph = attach(graph, {str(node.target): inner for node in graph.layers()[1:-1]}, None)
    calibrate(graph, x)
    torch._dynamo.reset()
    found = torch._dynamo.explain(graph.module.train())(x)
    assert found.graph_break_count == 0, found.break_reasons


@pytest.mark.parametrize("name", METHODS)
def test_a_short_training_learns_and_runs(name, float_nets):
    parts, (bits, sign) = METHODS[name], bits_and_sign(name)
    stage = {"kind": "quantize", "method": "lsq", "weight_bits": bits, "activation_bits": bits}
    if WEIGHTS in parts.roles:
        stage["method"] = name
    stage["activation_method"] = name if sign in parts.roles else "lsq"
    recipe = parse_recipe({"name": name, "stage": [stage], "train": QUANTIZED}, {})
    net = copy.deepcopy(float_nets[sign])
    small = compress(net, recipe, digits())
    assert small.result["engine"]["bit_equal_to_reference"]["equal"]
    assert small.result["engine"]["top1"] >= (90 if bits > 1 else 80), small.result["engine"]["top1"]
    methods = {m.parts.rule for m in small.job.module.modules() if isinstance(m, Quantizer)}
    assert parts.rule in methods
