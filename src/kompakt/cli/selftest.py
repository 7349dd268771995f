"""Small programs that reach every kernel of a level, compared with the reference bit for bit in well under a second."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from .. import _native
from ..artifact import FloatWeight, Node, Program, Weight, to_bytes
from ..encoding import Affine, Encoding, Planes, Table
from ..engine.agreement import Comparison

# The engine's own choice, then each one wherever it is legal.
FAMILIES = (
    "",
    "dot_u8s8",
    "dot_s16",
    "depthwise_u8s8",
    "winograd_u8s8",
    "winograd_s16",
    "gemv",
    "lookup",
    "planes",
    "f32",
)
INPUTS = 3


@dataclass(frozen=True)
class Outcome:
    """Kernels that ran, those of the level that did not, and where one differed from the reference."""

    kernels: tuple[str, ...]
    missed: tuple[str, ...]
    differences: tuple[str, ...]


def run_level(isa: str) -> Outcome:
    """Run every program on a level, with every family of kernels and with one and two threads."""
    kernels: dict[str, None] = {}
    differences = []
    for name, comparison in _comparisons().items():
        for family in FAMILIES:
            for row in _native.Engine(comparison.data, 1, isa, family).kernels():
                kernels[row["kernel"]] = None
            for threads in (1, 2):
                difference = comparison.difference(isa, threads, family)
                if difference is not None:
                    differences.append(f"{name}, {family or 'own choice'}, {threads} threads: {difference}")
    every = [row["kernel"] for row in _native.kernel_table() if row["isa"] == isa]
    missed = tuple(name for name in every if name not in kernels)
    return Outcome(tuple(sorted(kernels)), missed, tuple(differences))


@cache
def programs() -> dict[str, Program]:
    """One program per way of executing a layer; sizes are odd, so that no tile divides them."""
    rng = np.random.default_rng(20)
    pm = Planes(2, np.stack([rng.integers(1, 40, 37), rng.integers(41, 80, 37)], 1).astype(np.int16), "pm")
    return {
        "2-bit planes": _convolution(rng, Affine(2, False), _random_weight(rng, (37, 5, 3, 3), pm)),
        "2-bit levels, stride 1": _convolution(
            rng, Affine(2, False), _random_weight(rng, (37, 5, 3, 3), Affine(2, True)), stride_h=1
        ),
        "depthwise": _convolution(rng, Affine(8, False), _random_weight(rng, (5, 1, 3, 3), Affine(8, True))),
        "8-bit weights and activations": _convolution(
            rng, Affine(8, False), _random_weight(rng, (37, 5, 3, 3), Affine(8, True))
        ),
        "signed activations, level table": _convolution(
            rng,
            Affine(8, True),
            _random_weight(rng, (37, 5, 3, 3), Table(3, np.arange(-90, 102, 24, dtype=np.int16)[None])),
        ),
        "float weights": _convolution(rng, None, FloatWeight(rng.standard_normal((37, 5, 3, 3)).astype(np.float32))),
    }


@cache
def _comparisons() -> dict[str, Comparison]:
    x = np.random.default_rng(21).standard_normal((INPUTS, 5, 9, 11), np.float32)
    return {name: Comparison(to_bytes(program, {}), program, x) for name, program in programs().items()}


def _convolution(
    rng: np.random.Generator, encoding: Encoding | None, weight: Weight | FloatWeight, stride_h: int = 2
) -> Program:
    """Quantize, convolve with stride and padding, rectify, pool, and classify with weights of the same kind."""
    conv_input = "input" if encoding is None else "q"
    outputs, groups = weight.shape[0], 5 // weight.shape[1]
    attrs = {"weight": weight, "stride": (stride_h, 1), "padding": (1, 1), "groups": groups}
    features = (outputs * (4 if stride_h == 1 else 2) * 5,)
    nodes = [
        *_quantize("q", "input", encoding, 1.5, 40.0),
        Node("conv2d", "conv", (conv_input,), attrs),
        _affine(rng, "scale", "conv", outputs, 1.0 if encoding is None else 2.0**-12),
        Node("clamp", "relu", ("scale",), {"lo": 0.0}),
        Node("max_pool", "pool", ("relu",), {"kernel": (2, 2)}),
        Node("flatten", "flat", ("pool",)),
        *_quantize("q2", "flat", encoding, 2.0, 50.0),
    ]
    nodes.append(Node("linear", "linear", (nodes[-1].name,), {"weight": _classifier(rng, weight, (10, *features))}))
    nodes.append(_affine(rng, "logits", "linear", 10, 2.0**-10))
    return Program((5, 9, 11), tuple(nodes), "logits")


def _quantize(name: str, source: str, encoding: Encoding | None, coarse: float, fine: float) -> list[Node]:
    if encoding is None:
        return []
    inv_step = coarse if encoding.bits < 8 else fine
    return [Node("quantize", name, (source,), {"encoding": encoding, "inv_step": inv_step})]


def _classifier(rng: np.random.Generator, like: Weight | FloatWeight, shape: tuple[int, ...]) -> Weight | FloatWeight:
    if isinstance(like, FloatWeight):
        return FloatWeight(rng.standard_normal(shape).astype(np.float32))
    encoding = like.encoding
    if isinstance(encoding, Planes):  # one grain per output channel
        encoding = Planes(encoding.bits, encoding.basis[: shape[0]], encoding.digits)
    return _random_weight(rng, shape, encoding)


def _affine(rng: np.random.Generator, name: str, source: str, channels: int, size: float) -> Node:
    m, b = (rng.standard_normal(channels) * size).astype(np.float32), rng.standard_normal(channels).astype(np.float32)
    return Node("affine", name, (source,), {"m": m, "b": b})


def _random_weight(rng: np.random.Generator, shape: tuple[int, ...], encoding: Encoding) -> Weight:
    codes = rng.integers(0, 2**encoding.bits, shape).astype(np.uint8)
    if isinstance(encoding, Affine) and encoding.bits == 8:
        codes[codes == 128] = 0  # level -128 is no weight level
    return Weight(codes, encoding)
