"""Random encodings, weights and thresholds, legal by construction and varied on purpose."""

from __future__ import annotations

import numpy as np

from kompakt.artifact import FloatWeight, Weight
from kompakt.encoding import Affine, Encoding, Planes, Table, levels

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
Generator = np.random.Generator


def bounded_basis(rng: Generator, bits: int, grains: int, low: int, high: int) -> np.ndarray:
    """int16 (grains, bits) with every partial sum in [low, high] and no row all zero."""
    basis = rng.integers(low // bits, high // bits + 1, (grains, bits)).astype(np.int16)
    basis = np.maximum(basis, -(-low // bits))  # // rounds down, away from zero here
    empty = ~basis.any(axis=1)
    basis[empty, 0] = 1
    return basis


def activation_encoding(rng: Generator, bits: int | None = None) -> Encoding:
    """Affine (half of the draws), planes or table, with one grain."""
    bits = int(rng.integers(1, 9)) if bits is None else bits
    kind = rng.integers(6)
    if kind < 3:
        return Affine(bits, signed=bool(rng.integers(3) == 0))
    if kind == 3:
        return Planes(bits, bounded_basis(rng, bits, 1, -128, 255), "01")
    if kind == 4:
        return Planes(bits, bounded_basis(rng, bits, 1, -128, 128), "pm")
    return Table(bits, rng.integers(-128, 256, (1, 1 << bits)))


def weight_encoding(rng: Generator, channels: int, bits: int | None = None) -> Encoding:
    """Affine, planes (most draws) or table; grain channel or tensor."""
    bits = int(rng.integers(1, 9)) if bits is None else bits
    grains = channels if rng.integers(3) else 1
    kind = rng.integers(6)
    if kind < 2:
        return Affine(bits, signed=bits == 8 or bool(rng.integers(2)))
    if kind < 5:
        return Planes(bits, bounded_basis(rng, bits, grains, -127, 127), "pm" if kind < 4 else "01")
    return Table(bits, rng.integers(-127, 128, (grains, 1 << bits)))


def weight(rng: Generator, shape: tuple[int, ...], encoding: Encoding | None = None) -> Weight:
    """Random codes; an 8-bit signed affine weight never uses the code 128."""
    encoding = weight_encoding(rng, shape[0]) if encoding is None else encoding
    codes = rng.integers(0, 1 << encoding.bits, shape).astype(np.uint8)
    if encoding == Affine(8, signed=True):
        codes[codes == 128] = 129
    return Weight(codes, encoding)


def float_weight(rng: Generator, shape: tuple[int, ...]) -> FloatWeight:
    """Normal values with some exact zeros."""
    values = rng.standard_normal(shape).astype(np.float32)
    values[rng.random(shape) < 0.1] = 0.0
    return FloatWeight(values)


def typical_sum(value: Weight, encoding: Encoding) -> float:
    """Rough magnitude of the weight's sums over inputs of uniformly random codes."""
    level = value.levels().reshape(len(value.codes), -1).astype(np.float64)
    inputs = encoding.table()[0].astype(np.float64)
    spread = np.sqrt((level**2).sum(axis=1).mean() * (inputs**2).mean())
    return float(max(spread, 1.0))


def threshold_rows(rng: Generator, channels: int, bits: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds (C, 2^bits - 1) around sums of that spread, and directions; some channels constant or all equal."""
    rows = np.sort(rng.normal(0.0, spread, (channels, (1 << bits) - 1)).astype(np.int32), axis=1)
    directions = np.where(rng.random(channels) < 0.3, -1, 1).astype(np.int8)
    fate = rng.random(channels)
    rows[fate < 0.05] = INT32_MAX
    rows[(fate >= 0.05) & (fate < 0.1)] = INT32_MIN
    equal = (fate >= 0.1) & (fate < 0.15)
    rows[equal] = rows[equal, :1]
    rows[directions == -1] = rows[directions == -1, ::-1]
    return rows, directions


def code_order(rng: Generator, encoding: Encoding) -> tuple[int, ...]:
    """A permutation of the codes: by level, as lowering writes it, or at random."""
    if rng.integers(4) == 0:
        return tuple(rng.permutation(1 << encoding.bits).tolist())
    every = np.arange(1 << encoding.bits, dtype=np.uint8)
    return tuple(np.argsort(levels(every, encoding), kind="stable").tolist())
