"""Weights of `conv2d` and `linear`: packed codes with an encoding, or float32 values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._core.errors import ArtifactError
from ..encoding import Affine, Encoding, levels
from .limits import MAX_DIMENSION, MAX_ELEMENTS, MAX_WINDOW

LEVEL_LIMIT = 127
"""Weight levels lie in [-127, 127]: symmetric, and one int8 each."""


@dataclass(frozen=True, eq=False)
class Weight:
    """Codes (O, I/groups, KH, KW) or (O, I), one byte each, and what they mean.

    Args:
        codes: uint8, each below 2^bits; copied, then read-only.
        encoding: one grain, or one per output channel.
    Raises: ArtifactError (`shape`, `encoding`, `value`).
    """

    codes: np.ndarray
    encoding: Encoding

    def __post_init__(self) -> None:
        codes = _frozen(self.codes, np.dtype(np.uint8), "weight codes")
        object.__setattr__(self, "codes", codes)
        if self.encoding.grains not in (1, len(codes)):
            raise ArtifactError(
                f"weight of shape {codes.shape} needs 1 or {len(codes)} grains, got {self.encoding.grains}", "encoding"
            )
        check_weight_encoding(self.encoding)
        if int(codes.max()) >> self.encoding.bits:
            raise ArtifactError(f"weight codes must have {self.encoding.bits} bits, got {codes.max()}", "value")
        if self.encoding == Affine(8, signed=True) and (codes == 128).any():
            raise ArtifactError("an 8-bit signed weight must not use the code 128 (level -128); clip to -127", "value")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the codes."""
        return self.codes.shape

    @property
    def bits(self) -> int:
        """Bit-width of a stored code."""
        return self.encoding.bits

    def levels(self) -> np.ndarray:
        """Integer levels, int16, same shape as the codes."""
        return levels(self.codes, self.encoding)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Weight):
            return NotImplemented
        return self.encoding == other.encoding and np.array_equal(self.codes, other.codes)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class FloatWeight:
    """Float32 values (O, I/groups, KH, KW) or (O, I), for layers that are left uncompressed.

    Raises: ArtifactError (`shape`, `node` for another type than float32, `value` for NaN or infinity).
    """

    values: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values, np.dtype(np.float32), "float weight"))
        if not np.isfinite(self.values).all():
            raise ArtifactError("float weight must be finite, got NaN or infinity", "value")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values."""
        return self.values.shape

    @property
    def bits(self) -> int:
        """Bit-width of a stored value."""
        return 32

    def levels(self) -> np.ndarray:
        """The values themselves, float32."""
        return self.values

    def __eq__(self, other: object) -> bool:
        return self.values.tobytes() == other.values.tobytes() if isinstance(other, FloatWeight) else NotImplemented

    __hash__ = None  # type: ignore[assignment]


def check_weight_encoding(encoding: Encoding) -> None:
    """Refuse encodings with levels outside [-127, 127]; of signed 8-bit affine only the code -128 is refused, later."""
    table = encoding.table()
    allowed_low = -128 if encoding == Affine(8, signed=True) else -LEVEL_LIMIT
    if table.min() < allowed_low or table.max() > LEVEL_LIMIT:
        raise ArtifactError(
            f"weight levels must lie in [-{LEVEL_LIMIT}, {LEVEL_LIMIT}], got {table.min()}..{table.max()}", "encoding"
        )


def check_weight_shape(shape: tuple[int, ...]) -> None:
    """Refuse shapes outside the limits of the format (`shape`, `size`)."""
    if len(shape) not in (2, 4) or not all(1 <= size <= MAX_DIMENSION for size in shape):
        raise ArtifactError(
            f"weight shape must be (O, I) or (O, I, KH, KW), each 1 to {MAX_DIMENSION}, got {shape}", "shape"
        )
    if max(shape[2:], default=1) > MAX_WINDOW:
        raise ArtifactError(f"weight kernel must be at most {MAX_WINDOW}, got shape {shape}", "shape")
    if math.prod(shape) > MAX_ELEMENTS:
        raise ArtifactError(f"a weight has at most {MAX_ELEMENTS} elements, got shape {shape}", "size")


def _frozen(array: np.ndarray, dtype: np.dtype, what: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype != dtype:
        raise ArtifactError(f"{what} must be {dtype}, got {array.dtype}", "node")
    check_weight_shape(array.shape)
    array = np.array(array, order="C")
    array.setflags(write=False)
    return array
