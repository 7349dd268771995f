"""Codes from sums by shifts alone, where every scale is a power of two."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..artifact.check import half
from ..artifact.limits import ACCUMULATOR_LIMIT, MAX_SHIFT
from ..encoding import Affine
from .coding import Coding
from .values import Coded, Lazy, Sum, Value


def pending_sum(first: Value, second: Value) -> Sum | None:
    """The sum of two values of which one at least is an integer sum and none needs a float; else None."""
    if not isinstance(first, Lazy):
        first, second = second, first
    if not isinstance(first, Lazy) or _integer_parts(first) is None:
        return None
    if isinstance(second, Sum) or _integer_parts(second) is None:
        return None
    return Sum(first, second)


def requantize_attributes(source: Lazy | Sum, coding: Coding) -> dict[str, Any] | None:
    """Attributes of the `requantize` node that codes `source`; None where that takes floats.

    All values are brought to one number of fractional bits, the largest, by shifts to the left; the result goes to that
    of the codes by a shift to the right.
    """
    operands = source.operands if isinstance(source, Sum) else (source,)
    parts = [_integer_parts(value) for value in operands]
    top, target = _top(source.clamp, coding), _fraction(np.float64(coding.scale))
    if not coding.half_up or top is None or target is None or any(part is None for part in parts):
        return None
    fractions = np.stack(np.broadcast_arrays(*(part[0] for part in parts if part is not None)))
    common = np.maximum(fractions.max(0), target)
    left, right = common - fractions, common - target
    with np.errstate(over="ignore"):
        bias = np.ldexp(sum(part[1] for part in parts if part is not None), common)
    reach = np.abs(bias) + half(np.minimum(right, MAX_SHIFT))
    reach += sum(np.ldexp(float(_bound(value)), shift) for value, shift in zip(operands, left, strict=True))
    if max(left.max(), right.max()) > MAX_SHIFT or (reach >= ACCUMULATOR_LIMIT).any() or (bias != np.rint(bias)).any():
        return None
    return {
        "encoding": coding.encoding, "bias": bias.astype(np.int32), "left": left.astype(np.int8),
        "right": right.astype(np.int8), "top": top,
    }  # fmt: skip


def _top(clamp: tuple[float, float] | None, coding: Coding) -> int | None:
    """The highest level that a clamp at 0 and above leaves; None for other clamps, which take more than that."""
    if not isinstance(coding.encoding, Affine):
        return None
    limit = coding.encoding.limits[1]
    if clamp is None:
        return limit
    if clamp[0] != 0 or not coding.starts_at_zero:
        return None
    top = limit if np.isinf(clamp[1]) else min(limit, int(np.floor(clamp[1] / float(coding.scale) + 0.5)))
    return top if top > 0 else None


def _integer_parts(value: Value) -> tuple[np.ndarray, np.ndarray] | None:
    """Fractional bits (C,) or (), and offset: real value = integer * 2^-bits + offset; None where scales are others."""
    if isinstance(value, Coded):
        bits = _fraction(np.float64(value.coding.scale))
        return None if bits is None or not isinstance(value.coding.encoding, Affine) else (bits, np.zeros(()))
    if not isinstance(value, Lazy) or value.kind != "acc" or value.m is None or value.b is None:
        return None
    bits = _fraction(value.m)
    return None if bits is None else (bits, value.b)


def _fraction(scale: np.ndarray | np.float64) -> np.ndarray | None:
    """Numbers n such that scale = 2^-n, or None."""
    mantissa, exponent = np.frexp(scale)
    return None if np.any(mantissa != 0.5) else np.asarray(1 - exponent)


def _bound(value: Value) -> int:
    return value.coding.max_level if isinstance(value, Coded) else value.bound if isinstance(value, Lazy) else 0
