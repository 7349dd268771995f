"""The three encodings: a code `0 .. 2^bits - 1` means a small integer level (docs/numerics.md)."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from .._core.errors import ArtifactError

MAX_BITS = 8
LEVEL_LOW, LEVEL_HIGH = -128, 255
"""Every level of every encoding lies in this range; weights are narrower still ([-127, 127])."""


@dataclass(frozen=True)
class Affine:
    """Level = code (unsigned), or the two's complement of its low `bits` bits (signed).

    Raises: ArtifactError (`encoding`) if bits is outside 1..8.
    """

    bits: int
    signed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", checked_bits(self.bits, "affine"))
        object.__setattr__(self, "signed", bool(self.signed))

    @property
    def grains(self) -> int:
        """Number of separate level tables: always one."""
        return 1

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest level."""
        half = 1 << (self.bits - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)

    def table(self) -> np.ndarray:
        """Level of every code, int16 (1, 2^bits)."""
        codes = np.arange(1 << self.bits, dtype=np.int16)
        return np.where(codes > self.limits[1], codes - (1 << self.bits), codes).astype(np.int16)[None]


@dataclass(frozen=True, eq=False)
class Planes:
    """Level = sum over i of basis[g, i] * digit_i, digits {0, 1} (`01`) or {-1, +1} (`pm`) from bit i of the code.

    Args:
        bits: number of planes, 1..8.
        basis: integers (grains, bits), or (bits,) for one grain; no grain all zero.
        digits: `pm` or `01`.
    Raises: ArtifactError (`encoding`).
    """

    bits: int
    basis: np.ndarray
    digits: Literal["pm", "01"] = "pm"

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", checked_bits(self.bits, "planes"))
        if self.digits not in ("pm", "01"):
            raise ArtifactError(f"planes: digits must be 'pm' or '01', got {self.digits!r}", "encoding")
        object.__setattr__(self, "basis", _checked_rows(self.basis, self.bits, "planes: basis"))
        empty = np.flatnonzero(~self.basis.any(axis=1))
        if empty.size:
            raise ArtifactError(
                f"planes: basis of grain {empty[0]} is all zero; every grain needs one level", "encoding"
            )
        _check_levels(self.table(), "planes")

    @property
    def grains(self) -> int:
        """Number of separate level tables: one per output channel, or one."""
        return len(self.basis)

    def table(self) -> np.ndarray:
        """Level of every code, int16 (grains, 2^bits)."""
        codes = np.arange(1 << self.bits)
        digits = (codes[None, :] >> np.arange(self.bits)[:, None]) & 1
        if self.digits == "pm":
            digits = 2 * digits - 1
        # At most 8 * 255 in magnitude before the range check: fits int16.
        return (self.basis.astype(np.int64) @ digits).astype(np.int16)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Planes):
            return NotImplemented
        same = self.bits == other.bits and self.digits == other.digits
        return same and np.array_equal(self.basis, other.basis)

    def __hash__(self) -> int:
        return hash((self.bits, self.digits, self.basis.tobytes()))


@dataclass(frozen=True, eq=False)
class Table:
    """Level = levels[g, code]: any integers, for grids that are neither uniform nor a sum of planes.

    Args:
        bits: 1..8.
        levels: integers (grains, 2^bits), or (2^bits,) for one grain.
    Raises: ArtifactError (`encoding`).
    """

    bits: int
    levels: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", checked_bits(self.bits, "table"))
        object.__setattr__(self, "levels", _checked_rows(self.levels, 1 << self.bits, "table: levels"))

    @property
    def grains(self) -> int:
        """Number of separate level tables: one per output channel, or one."""
        return len(self.levels)

    def table(self) -> np.ndarray:
        """Level of every code, int16 (grains, 2^bits)."""
        return self.levels

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return self.bits == other.bits and np.array_equal(self.levels, other.levels)

    def __hash__(self) -> int:
        return hash((self.bits, self.levels.tobytes()))


Encoding: TypeAlias = Affine | Planes | Table


def levels(codes: np.ndarray, encoding: Encoding, axis: int = 0) -> np.ndarray:
    """Levels of `codes`, int16 of the same shape; with several grains, grain g serves index g along `axis`.

    Raises: ArtifactError (`value` for a code that has more than `bits` bits, `shape` where the grains do not fit).
    """
    codes = np.asarray(codes)
    table: np.ndarray = encoding.table()
    if codes.size and (codes.min() < 0 or codes.max() >= table.shape[1]):
        raise ArtifactError(f"codes must lie in 0..{table.shape[1] - 1}, got {codes.min()}..{codes.max()}", "value")
    if encoding.grains == 1:
        return np.asarray(table[0][codes])
    if codes.shape[axis] != encoding.grains:
        raise ArtifactError(
            f"{encoding.grains} grains need as many entries along axis {axis}, got codes of shape {codes.shape}",
            "shape",
        )
    grain_shape = [1] * codes.ndim
    grain_shape[axis] = encoding.grains
    return np.asarray(table[np.arange(encoding.grains).reshape(grain_shape), codes])


def checked_bits(bits: Any, kind: str) -> int:
    """`bits` as an int in 1..8. Raises: ArtifactError (`encoding`)."""
    try:
        value = operator.index(bits)
    except TypeError:
        value = 0
    if isinstance(bits, bool) or not 1 <= value <= MAX_BITS:
        raise ArtifactError(f"{kind}: bits must be an integer in 1..{MAX_BITS}, got {bits!r}", "encoding")
    return value


def _checked_rows(rows: Any, width: int, what: str) -> np.ndarray:
    array = np.asarray(rows)
    array = array[None] if array.ndim == 1 else array
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != width or not len(array):
        raise ArtifactError(
            f"{what} must be integers of shape (grains, {width}), got {array.dtype} {array.shape}", "encoding"
        )
    _check_levels(array, what)
    array = array.astype(np.int16, order="C")
    array.setflags(write=False)
    return array


def _check_levels(array: np.ndarray, what: str) -> None:
    if array.min() < LEVEL_LOW or array.max() > LEVEL_HIGH:
        raise ArtifactError(
            f"{what} must lie in [{LEVEL_LOW}, {LEVEL_HIGH}], got {array.min()}..{array.max()}", "encoding"
        )
