"""Shorthands for programs of one or a few nodes, whose every value a test wants to see."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from kompakt.artifact import Node, Program, Weight
from kompakt.encoding import Affine, Encoding
from kompakt.engine.reference import run_all

f32 = np.float32
SEEDS = st.integers(0, 100_000)


def node(op: str, *inputs: str, name: str = "", **attrs: Any) -> Node:
    """A node named like its operator, over the input unless it says otherwise."""
    return Node(op, name or op, inputs or ("input",), attrs)


def values(x: np.ndarray, *nodes: Node) -> dict[str, np.ndarray]:
    """All values of a program over x (N, ...); a float output is put behind codes and sums."""
    last = nodes[-1]
    end: list[Node] = []
    if last.op in ("quantize", "encode", "recode", "threshold", "requantize"):
        end = [node("dequantize", last.name, name="end", scale=1.0)]
    made = Program(x.shape[1:], (*nodes, *end), (end or nodes)[-1].name)
    return run_all(made, x)


def floats(*numbers: float) -> np.ndarray:
    """(1, C)."""
    return np.array([numbers], f32)


def codes_of(encoding: Encoding, count: int) -> tuple[Node, np.ndarray]:
    """A node that turns the floats 0 .. 2^bits - 1 into the codes of the same number."""
    steps = tuple(index + 0.5 for index in range((1 << encoding.bits) - 1))
    return node("encode", encoding=encoding, thresholds=steps), np.arange(count, dtype=f32) % (1 << encoding.bits)


def sums_of(numbers: list[int]) -> tuple[list[Node], np.ndarray]:
    """Nodes that give these sums: the levels of 8-bit signed codes times weights (127, 1) per channel."""
    halves = np.array([[n // 127, n % 127] for n in numbers], f32)
    assert (np.abs(halves) <= 127).all()
    weight = np.zeros((len(numbers), 2 * len(numbers)), np.uint8)
    for channel in range(len(numbers)):
        weight[channel, 2 * channel : 2 * channel + 2] = (127, 1)
    quantize = node("quantize", encoding=Affine(8, signed=True), inv_step=1.0)
    return [quantize, node("linear", "quantize", weight=Weight(weight, Affine(8, signed=True)))], halves.reshape(1, -1)


def affine_of(source: str, channels: int) -> Node:
    """An `affine` that adds one; it makes sums a legal output."""
    row = np.ones(channels, f32)
    return node("affine", source, m=row, b=row)
