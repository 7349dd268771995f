"""Small networks with quantizers of many kinds, ready to be lowered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kompakt.graph import Graph, trace
from kompakt.quant import METHODS
from kompakt.quant.attach import Choice, LayerChoice, attach, calibrate, quantizers
from kompakt.quant.quantizer import SIGNED, UNSIGNED, WEIGHTS

from .nets import build

SIGNED_INNER = ("signed", "bn_before_conv", "dense_signed")
"""Nets whose inner activations may be negative: only for methods that take any sign."""


@dataclass(frozen=True)
class Setup:
    """What the inner layers, the first and last layer, and stored values get."""

    inner: LayerChoice
    ends: LayerChoice
    residual: Choice | None


def layer(weight: str | None, activation: str | None) -> LayerChoice:
    """`layer("lq_nets2", "lsq4")`: method and bits of both sides, None for float."""
    return LayerChoice(*(None if text is None else Choice(text[:-1], int(text[-1])) for text in (weight, activation)))


EIGHT = layer("lsq8", "lsq8")
STORED = Choice("lsq", 8)
SETUPS = {
    "lq-w1a1": Setup(layer("lq_nets1", "lq_nets1"), EIGHT, STORED),
    "lq-w2a2": Setup(layer("lq_nets2", "lq_nets2"), EIGHT, STORED),
    "lq-w3a4": Setup(layer("lq_nets3", "lq_nets4"), EIGHT, STORED),
    "lq-w2-lsq-a3": Setup(layer("lq_nets2", "lsq3"), EIGHT, STORED),
    "lsq-w2a2": Setup(layer("lsq2", "lsq2"), EIGHT, STORED),
    "lsq-w4a4-everywhere": Setup(layer("lsq4", "lsq4"), layer("lsq4", "lsq4"), Choice("lsq", 4)),
    "lsq-w8a8": Setup(EIGHT, EIGHT, STORED),
    "lsq-w3a6": Setup(layer("lsq3", "lsq6"), EIGHT, Choice("lsq", 6)),
    "weights only": Setup(layer("lq_nets2", None), layer("lsq8", None), None),
    "activations only": Setup(layer(None, "lsq4"), EIGHT, STORED),
    "float ends": Setup(layer("lq_nets2", "lq_nets2"), layer(None, None), STORED),
    "float residual": Setup(layer("lsq3", "lsq3"), EIGHT, None),
}


def takes_any_sign(setup: Setup) -> bool:
    """Whether the inner activations may be negative."""
    return setup.inner.activation is None or setup.inner.activation.method == "lsq"


def quantized(net: nn.Module, x: Tensor, setup: Setup) -> Graph:
    """The net with quantizers fitted to x, finished, in evaluation mode."""
    graph = trace(net, x[:2])
    names = [str(node.target) for node in graph.layers()]
    choices = {name: setup.ends if name in (names[0], names[-1]) else setup.inner for name in names}
    graph = attach(graph, choices, setup.residual)
    calibrate(graph, x)
    for quantizer in quantizers(graph):
        quantizer.finish()
    graph.module.eval()
    return graph


def quantized_net(name: str, setup: str, seed: int = 0, samples: int = 6) -> tuple[Graph, np.ndarray, np.ndarray]:
    """A quantized net of `nets.NETS`, inputs, and what torch computes for them."""
    net, x = build(name, seed)
    x = torch.randn(samples, *x.shape[1:], generator=torch.Generator().manual_seed(seed + 1))
    graph = quantized(net, x, SETUPS[setup])
    with torch.no_grad():
        return graph, x.numpy(), graph.module(x).numpy()


def method_cases() -> list[tuple[str, int, str]]:
    """Fewest and most bits of every method, as weights, and as activations of every sign that it takes."""
    return [
        (name, bits, role)
        for name, parts in METHODS.items()
        for bits in sorted({parts.bits[0], parts.bits[-1]})
        for role in (WEIGHTS, UNSIGNED, SIGNED)
        if role in parts.roles
    ]


def quantized_by(name: str, bits: int, role: str) -> tuple[Graph, Tensor]:
    """A net whose inner layers have a method of the table in this role, and inputs. Both nets pad with zeros."""
    choice, other = Choice(name, bits), Choice("lsq", 4)
    inner = LayerChoice(choice, other) if role == WEIGHTS else LayerChoice(other, choice)
    net, _ = build("signed" if role == SIGNED else "projection")
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return quantized(net, x, Setup(inner, EIGHT, STORED)), x
