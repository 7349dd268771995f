"""Programs of one layer, for putting kernels next to the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from kompakt import _native
from kompakt.artifact import FloatWeight, Program, Weight
from kompakt.artifact.write import to_bytes
from kompakt.encoding import Affine, Encoding
from kompakt.engine import run_all_reference

from .programs import Builder

FAMILIES = ("", "dot_u8s8", "dot_s16", "depthwise_u8s8", "winograd_u8s8", "winograd_s16", "gemv", "lookup", "planes")
"""Kernel families that can be asked for; "" lets the engine choose."""


def layer_program(
    weight: Weight | FloatWeight, shape: tuple[int, ...], encoding: Encoding | None, **attrs: Any
) -> Program:
    """encode (unless encoding is None) -> conv2d or linear -> affine, for an input of `shape`.

    Inputs in levels: codes of an `Affine` encoding are the input rounded and clipped; of others by thresholds at
    half integers around zero, so that every code occurs.
    """
    builder = Builder(np.random.default_rng(0), shape)
    x = "input"
    if isinstance(encoding, Affine):
        x = builder.add("quantize", x, encoding=encoding, inv_step=1.0)
    elif encoding is not None:
        count = (1 << encoding.bits) - 1
        steps = tuple(float(k - count // 2) + 0.5 for k in range(count))
        x = builder.add("encode", x, encoding=encoding, thresholds=steps, codes=tuple(range(count + 1)))
    x = builder.add("linear" if len(shape) == 1 else "conv2d", x, weight=weight, **attrs)
    channels = np.arange(builder.shape(x)[0])
    m, b = (1.0 + channels / 64).astype(np.float32), (channels - 3.5).astype(np.float32)
    return builder.finish(builder.add("affine", x, m=m, b=b))


def assert_equal_to_reference(
    program: Program, x: np.ndarray, threads: tuple[int, ...] = (1,), families: tuple[str, ...] = FAMILIES
) -> set[str]:
    """Fused output on every level, family and thread count equals the reference bit for bit; gives kernels used."""
    expected = run_all_reference(program, x)[program.output]
    data = to_bytes(program)
    used: set[str] = set()
    for isa in _native.isa_levels():
        for family in families:
            for count in threads:
                engine = _native.Engine(data, count, isa, family)
                used |= {row["kernel"] for row in engine.kernels()}
                same = np.array_equal(engine.run(x), expected, equal_nan=True)
                assert same, f"isa {isa}, family {family!r}, {count} threads: differs from the reference"
    return used
