"""Attribute types: each function takes what a caller or a file gave, and returns its canonical form or refuses it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.errors import ArtifactError
from ..encoding import Affine, Encoding, Planes, Table
from .limits import MAX_DIMENSION, MAX_SHIFT, MAX_WINDOW
from .weight import FloatWeight, Weight

REQUIRED: Any = object()
_SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)
_INT32 = np.iinfo(np.int32)
UNARY_FUNCTIONS = ("gelu", "hardswish", "sigmoid", "silu", "tanh")


@dataclass(frozen=True)
class Field:
    """One attribute: its name, its type (a function of this module), and its default or `REQUIRED`."""

    name: str
    parse: Callable[[Any, str], Any]
    default: Any = REQUIRED


def integer(value: Any, where: str) -> int:
    """A Python int; booleans and floats are refused (`node`)."""
    if isinstance(value, (bool, np.bool_)):
        raise ArtifactError(f"{where} must be an integer, got {value!r}", "node")
    try:
        return operator.index(value)
    except TypeError:
        raise ArtifactError(f"{where} must be an integer, got {value!r}", "node") from None


def _between(value: Any, low: int, high: int, kind: str, where: str) -> int:
    number = integer(value, where)
    if not low <= number <= high:
        raise ArtifactError(f"{where} must lie in {low}..{high}, got {number}", kind)
    return number


def positive_int(value: Any, where: str) -> int:
    """A count from 1 to the largest dimension."""
    return _between(value, 1, MAX_DIMENSION, "shape", where)


def window_int(value: Any, where: str) -> int:
    """A stride: 1 to 4096."""
    return _between(value, 1, MAX_WINDOW, "shape", where)


def channel_count(value: Any, where: str) -> int:
    """Channels to add: 0 to the largest dimension."""
    return _between(value, 0, MAX_DIMENSION, "shape", where)


def _pair(value: Any, low: int, where: str, high: int = MAX_WINDOW) -> tuple[int, int]:
    items = _items(value, where)
    if len(items) != 2:
        raise ArtifactError(f"{where} must be [height, width], got {items!r}", "node")
    return _between(items[0], low, high, "shape", where), _between(items[1], low, high, "shape", where)


def positive_pair(value: Any, where: str) -> tuple[int, int]:
    """Kernel, stride or dilation: (height, width), each 1 to 4096."""
    return _pair(value, 1, where)


def size_pair(value: Any, where: str) -> tuple[int, int]:
    """Height and width of a map, each 1 to the largest dimension."""
    return _pair(value, 1, where, MAX_DIMENSION)


def padding_pair(value: Any, where: str) -> tuple[int, int]:
    """Padding on both sides: (height, width), each 0 to 4096."""
    return _pair(value, 0, where)


def finite_float(value: Any, where: str) -> float:
    """A Python float that is exactly a finite float32, and not -0.0 (which would print and compare differently)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ArtifactError(f"{where} must be a number, got {value!r}", "node")
    try:
        number = float(value)
        with np.errstate(over="ignore"):
            exact = float(np.float32(number)) == number
    except OverflowError:  # an int beyond float64
        number, exact = math.inf, False
    if not math.isfinite(number) or not exact or (number == 0.0 and math.copysign(1.0, number) < 0):
        raise ArtifactError(f"{where} must be a finite float32 and not -0.0, got {value!r}; use float(np.float32(v))")
    return number


def optional_float(value: Any, where: str) -> float | None:
    """A float, or None for absent; in a file `null` is never written."""
    return finite_float(value, where)


def positive_float(value: Any, where: str) -> float:
    """A scale: positive and normal, so that products with it keep their precision."""
    number = finite_float(value, where)
    if number < _SMALLEST_NORMAL:
        raise ArtifactError(f"{where} must be positive and normal (>= {_SMALLEST_NORMAL}), got {value!r}")
    return number


def _items(value: Any, where: str) -> list[Any]:
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value.tolist() if value.dtype.kind in "iuf" else list(value)
    if not isinstance(value, (list, tuple)):
        raise ArtifactError(f"{where} must be a list, got {type(value).__name__}", "node")
    return list(value)


def floats(value: Any, where: str) -> tuple[float, ...]:
    """A list of float32 numbers."""
    return tuple(finite_float(item, where) for item in _items(value, where))


def ints(value: Any, where: str) -> tuple[int, ...]:
    """A list of int32 numbers."""
    return tuple(_between(item, _INT32.min, _INT32.max, "value", where) for item in _items(value, where))


def indices(value: Any, where: str) -> tuple[int, ...]:
    """A list of one or more places on an axis, counted from 0; repetitions are legal."""
    found = tuple(_between(item, 0, MAX_DIMENSION - 1, "shape", where) for item in _items(value, where))
    if not found:
        raise ArtifactError(f"{where} must name at least one place, got none", "shape")
    return found


def gather_axis(value: Any, where: str) -> int:
    """0 for channels, 1 for positions."""
    return _between(value, 0, 1, "shape", where)


def unary_function(value: Any, where: str) -> str:
    """The name of a function of one float."""
    if not isinstance(value, str):
        raise ArtifactError(f"{where} must be text, got {value!r}", "node")
    if value not in UNARY_FUNCTIONS:
        raise ArtifactError(f"{where} must be one of {', '.join(UNARY_FUNCTIONS)}, got {value!r}")
    return value


def codes(value: Any, where: str) -> tuple[int, ...]:
    """A list of codes, each one byte."""
    return tuple(_between(item, 0, 255, "value", where) for item in _items(value, where))


def _array(value: Any, dtype: type[np.generic], ndim: int, where: str) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype != dtype:
        found = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise ArtifactError(f"{where} must be an array of {np.dtype(dtype)}, got {found}", "node")
    if value.ndim != ndim or not len(value):
        raise ArtifactError(f"{where} must have {ndim} dimension(s) and a row per channel, got {value.shape}", "shape")
    array = np.array(value, order="C")
    array.setflags(write=False)
    return array


def float_map(value: Any, where: str) -> np.ndarray:
    """float32 (C,) or (C, H, W), finite."""
    ndim = 3 if isinstance(value, np.ndarray) and value.ndim == 3 else 1
    array = _array(value, np.float32, ndim, where)
    if not np.isfinite(array).all():
        raise ArtifactError(f"{where} must be finite, got {array[~np.isfinite(array)][0]}")
    return array


def float_row(value: Any, where: str) -> np.ndarray:
    """float32 (C,), finite."""
    row = _array(value, np.float32, 1, where)
    if not np.isfinite(row).all():
        raise ArtifactError(
            f"{where} must be finite, got {row[~np.isfinite(row)][0]} in channel {np.flatnonzero(~np.isfinite(row))[0]}"
        )
    return row


def int8_row(value: Any, where: str) -> np.ndarray:
    """int8 (C,)."""
    return _array(value, np.int8, 1, where)


def int32_row(value: Any, where: str) -> np.ndarray:
    """int32 (C,)."""
    return _array(value, np.int32, 1, where)


def shift_row(value: Any, where: str) -> np.ndarray:
    """int8 (C,) of shifts, each 0 to 30 bits."""
    return _shifts(_array(value, np.int8, 1, where), where)


def shift_table(value: Any, where: str) -> np.ndarray:
    """int8 (n, C) of shifts, each 0 to 30 bits."""
    return _shifts(_array(value, np.int8, 2, where), where)


def _shifts(array: np.ndarray, where: str) -> np.ndarray:
    wrong = array[(array < 0) | (array > MAX_SHIFT)]
    if wrong.size:
        raise ArtifactError(f"{where} must lie in 0..{MAX_SHIFT}, got {wrong[0]}")
    return array


def int32_table(value: Any, where: str) -> np.ndarray:
    """int32 (C, n)."""
    return _array(value, np.int32, 2, where)


def activation_encoding(value: Any, where: str) -> Encoding:
    """An encoding with one grain; its levels lie in [-128, 255] by construction."""
    if not isinstance(value, (Affine, Planes, Table)):
        raise ArtifactError(f"{where} must be Affine, Planes or Table, got {type(value).__name__}", "node")
    if value.grains != 1:
        raise ArtifactError(f"{where} of an activation has one grain, got {value.grains}", "encoding")
    return value


def affine_encoding(value: Any, where: str) -> Affine:
    """The encoding of `quantize`, which knows uniform grids only."""
    encoding = activation_encoding(value, where)
    if not isinstance(encoding, Affine):
        raise ArtifactError(f"{where} of quantize must be affine, got {value}; use encode for other grids", "encoding")
    return encoding


def _weight(value: Any, ndim: int, where: str) -> Weight | FloatWeight:
    if not isinstance(value, (Weight, FloatWeight)):
        raise ArtifactError(f"{where} must be Weight or FloatWeight, got {type(value).__name__}", "node")
    if len(value.shape) != ndim:
        raise ArtifactError(f"{where} must have {ndim} dimensions, got {value.shape}", "shape")
    return value


def weight_4d(value: Any, where: str) -> Weight | FloatWeight:
    """A convolution's weight, (O, I/groups, KH, KW)."""
    return _weight(value, 4, where)


def weight_2d(value: Any, where: str) -> Weight | FloatWeight:
    """A linear layer's weight, (O, I)."""
    return _weight(value, 2, where)
