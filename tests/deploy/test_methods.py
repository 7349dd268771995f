"""Every method of the table, lowered: the NumPy reference is the network, the engine is the reference bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kompakt.artifact import to_bytes
from kompakt.deploy import lower
from kompakt.engine import load
from kompakt.engine.reference import run
from kompakt.quant import METHODS
from kompakt.quant.attach import Choice, LayerChoice
from kompakt.quant.quantizer import SIGNED, UNSIGNED, WEIGHTS
from support.nets import build
from support.quantized import EIGHT, STORED, Setup, quantized

# One net after ReLUs with shortcuts, one with values of both signs; both pad with zeros.
NETS = {UNSIGNED: "projection", SIGNED: "signed"}
OTHER = Choice("lsq", 4)


def cases() -> list[tuple[str, int, str]]:
    """Fewest and most bits of every method, as weights, and as activations of every sign that it takes."""
    return [
        (name, bits, role)
        for name, parts in METHODS.items()
        for bits in sorted({parts.bits[0], parts.bits[-1]})
        for role in (WEIGHTS, UNSIGNED, SIGNED)
        if role in parts.roles
    ]


@pytest.mark.parametrize(("name", "bits", "role"), cases())
def test_a_lowered_network_computes_what_the_quantized_one_does(name, bits, role):
    choice = Choice(name, bits)
    inner = LayerChoice(choice, OTHER) if role == WEIGHTS else LayerChoice(OTHER, choice)
    net, _ = build(NETS.get(role, "projection"))
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    graph = quantized(net, x, Setup(inner, EIGHT, STORED))
    with torch.no_grad():
        expected = graph.module(x).numpy()
    program = lower(graph)
    found = run(program, x.numpy())
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert np.array_equal(load(to_bytes(program, {}))(x.numpy()), found)
