"""How an activation quantizer codes floats, in the engine's arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..encoding import Affine, Encoding
from ..quant import Quantizer
from ..quant.grids import Uniform


@dataclass(frozen=True, eq=False)
class Coding:
    """One activation quantizer as the file holds it.

    Attributes:
        encoding, scale: real value = level(code) * scale.
        codes: code of every level, ascending by level.
        boundaries: float32 thresholds between levels (strict comparison), None where halves are rounded to even.
        starts_at_zero: whether the lowest level is 0, so that a ReLU in front changes nothing.
        half_up: whether values in the middle of two levels go up, so that shifts of sums can make the codes.
    """

    encoding: Encoding
    scale: np.float32
    codes: tuple[int, ...]
    boundaries: np.ndarray | None
    starts_at_zero: bool
    half_up: bool = False

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.codes)

    @property
    def max_level(self) -> int:
        """The largest magnitude of a level."""
        return int(np.abs(self.encoding.table().astype(np.int64)).max())

    def index(self, y: np.ndarray) -> np.ndarray:
        """Index of the sorted level of every value, int64: what a `quantize` or `encode` node does to float32 `y`."""
        if self.boundaries is not None:
            return np.asarray((y[..., None] > self.boundaries).sum(-1))
        assert isinstance(self.encoding, Affine)
        low, high = self.encoding.limits
        with np.errstate(over="ignore"):
            level = np.clip(np.rint(y * self._inv_step), low, high)
        return np.asarray(level.astype(np.int64) - low)

    @property
    def step(self) -> float:
        """The smallest distance of two levels, as a real value."""
        levels = np.unique(self.encoding.table().astype(np.float64))
        return float(np.diff(levels).min(initial=self.max_level or 1)) * float(self.scale)

    def values(self, codes: np.ndarray) -> np.ndarray:
        """Real values of codes, in the engine's arithmetic: float32."""
        return Quantizer.decode(codes, self.encoding, np.array([self.scale]))

    def is_like(self, other: Coding) -> bool:
        """Whether codes of both mean the same values."""
        return self.encoding == other.encoding and self.scale == other.scale

    def node(self) -> tuple[str, dict[str, Any]]:
        """Operator and attributes of the node that codes a float."""
        if self.boundaries is None:
            return "quantize", {"encoding": self.encoding, "inv_step": float(self._inv_step)}
        thresholds = [float(t) for t in self.boundaries]
        return "encode", {"encoding": self.encoding, "thresholds": thresholds, "codes": self.codes}

    @property
    def _inv_step(self) -> np.float32:
        return np.float32(1.0 / np.float64(self.scale))


def coding_of(quantizer: Quantizer) -> Coding:
    """The coding of an activation quantizer (one grain)."""
    encoding, scale = quantizer.encoding()
    half_up = isinstance(quantizer.grid, Uniform) and quantizer.grid.half_up
    if isinstance(encoding, Affine) and not half_up:  # `quantize` rounds half to even
        low, high = encoding.limits
        codes, boundaries = [level & (2**encoding.bits - 1) for level in range(low, high + 1)], None
    else:
        thresholds, codes = quantizer.thresholds()
        boundaries = _ascending(thresholds)
    return Coding(encoding, np.float32(scale[0]), tuple(codes), boundaries, quantizer.starts_at_zero(), half_up)


def _ascending(thresholds: np.ndarray) -> np.ndarray:
    """Strictly ascending: equal neighbours (levels that coincide) are moved up by the smallest amount."""
    result = thresholds.astype(np.float32)
    for i in range(1, len(result)):
        result[i] = max(result[i], np.nextafter(result[i - 1], np.float32(np.inf)))
    return result


def table_coding(encoding: Encoding, scale: float) -> Coding:
    """The coding of a table of codes (an embedding), which nothing codes anew."""
    order = np.argsort(encoding.table()[0], kind="stable")
    return Coding(encoding, np.float32(scale), tuple(order.tolist()), None, False)
