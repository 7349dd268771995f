"""Grids: where the levels lie. Pure functions of values `x` and parameters `p`, which come from a rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..encoding import LEVEL_LOW, Affine, Encoding, Planes, Table
from ..ops import basis as basis_ops
from ..ops import uniform
from ..ops.grains import per_grain

Parameters = dict[str, Tensor]


class Grid(Protocol):
    """What quantizers, rules and lowering ask of a grid. `x`: float32 values; grains, if several, along axis 0."""

    @property
    def bits(self) -> int:
        """Bit-width of a code."""
        ...

    @property
    def signed(self) -> bool:
        """Whether levels may be negative."""
        ...

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        """Value of the nearest level, float32, shape of x; no gradient."""
        ...

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        """Code of the nearest level, int64, shape of x."""
        ...

    def levels(self, p: Parameters) -> basis_ops.Levels:
        """Sorted levels of every grain, thresholds between them (a value on one goes down), and their codes."""
        ...

    def starts_at_zero(self, p: Parameters) -> bool:
        """Whether the lowest level is 0, so that negative values need no ReLU in front."""
        ...

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        """The encoding of the final parameters `p`, and one scale per grain, float32 (G,)."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Whole multiples of `p["step"]`, shape (G,).

    `symmetric` leaves out the lowest level of signed values (-128 of an 8-bit weight; -2 of ternary levels).
    `half_up`: values in the middle of two levels go up, which shifts of integers do, instead of to the even one.
    """

    bits: int
    signed: bool
    symmetric: bool = False
    half_up: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest level."""
        return uniform.limits(self.bits, self.signed, self.symmetric)

    @property
    def count(self) -> int:
        """Number of levels."""
        return self.limits[1] - self.limits[0] + 1

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        step = per_grain(p["step"], x)
        return torch.clamp(uniform.nearest_whole(x / step, self.half_up), *self.limits) * step

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        level = torch.clamp(uniform.nearest_whole(x / per_grain(p["step"], x), self.half_up), *self.limits)
        return torch.bitwise_and(level.to(torch.int64), 2**self.bits - 1)

    def levels(self, p: Parameters) -> basis_ops.Levels:
        """Levels, and thresholds that round as `value` does."""
        level = torch.arange(self.limits[0], self.limits[1] + 1, device=p["step"].device)
        return uniform.rounded_levels(level, p["step"], self.bits, half_up=self.half_up)

    def starts_at_zero(self, p: Parameters) -> bool:
        return not self.signed

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        return Affine(self.bits, self.signed), p["step"].detach().float().reshape(-1).cpu().numpy()


@dataclass(frozen=True)
class MidRise:
    """Odd multiples of `p["step"]`, shape (G,): 2^bits levels of both signs, none of them 0. Zero itself goes up.

    Raises: QuantizerError for values that are never negative.
    """

    bits: int
    signed: bool

    def __post_init__(self) -> None:
        if not self.signed:
            raise QuantizerError("a grid of odd levels has as many below zero as above; use another one after a ReLU")

    @property
    def count(self) -> int:
        """Number of levels."""
        return int(2**self.bits)

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest level."""
        return 1 - self.count, self.count - 1

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        return (2 * self._index(x, p) + self.limits[0]) * per_grain(p["step"], x)

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        return self._index(x, p).to(torch.int64)

    def _index(self, x: Tensor, p: Parameters) -> Tensor:
        return torch.clamp(torch.floor(x / (2 * per_grain(p["step"], x))) + self.count // 2, 0, self.count - 1)

    def levels(self, p: Parameters) -> basis_ops.Levels:
        codes = torch.arange(self.count, device=p["step"].device)
        values = p["step"][:, None] * (2 * codes + self.limits[0])
        middle = p["step"][:, None] * (2 * codes[1:] - self.count)
        below = torch.nextafter(middle, torch.full_like(middle, -torch.inf))
        return basis_ops.Levels(values, below, codes.expand(values.shape))

    def starts_at_zero(self, p: Parameters) -> bool:
        return False

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        # 2·code - (2^b - 1) is the sum of ±1, ±2, ±4, ..: binary planes.
        basis = (1 << np.arange(self.bits)).astype(np.int16)
        return Planes(self.bits, basis, "pm"), p["step"].detach().float().reshape(-1).cpu().numpy()


@dataclass(frozen=True)
class Offset:
    """`(r + p["zero"]) * p["step"]` for the whole numbers r of `limits`; one grain. Only a whole zero can be stored."""

    bits: int
    signed: bool

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest whole number before the offset is added."""
        return uniform.limits(self.bits, self.signed)

    @property
    def zeros(self) -> tuple[int, int]:
        """Lowest and highest whole offset: 0 is a level, and no level is below the lowest that a file can hold."""
        lo, hi = self.limits
        return max(-hi, LEVEL_LOW - lo), -lo

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        return (self._rounded(x, p) + p["zero"]) * p["step"]

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        return torch.bitwise_and(self._rounded(x, p).to(torch.int64), 2**self.bits - 1)

    def _rounded(self, x: Tensor, p: Parameters) -> Tensor:
        return torch.clamp(torch.round(x / p["step"] - p["zero"]), *self.limits)

    def levels(self, p: Parameters) -> basis_ops.Levels:
        rounded = torch.arange(self.limits[0], self.limits[1] + 1, device=p["step"].device)
        return uniform.rounded_levels(rounded, p["step"], self.bits, p["zero"])

    def starts_at_zero(self, p: Parameters) -> bool:
        return bool(self.limits[0] + p["zero"] == 0)

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        plain, zero, scale = Affine(self.bits, self.signed), int(p["zero"]), p["step"].detach().float().cpu().numpy()
        return (Table(self.bits, plain.table() + zero) if zero else plain), scale


class _Listed(ABC):
    """A grid whose nearest level is found among all of them."""

    @abstractmethod
    def levels(self, p: Parameters) -> basis_ops.Levels: ...

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        return basis_ops.nearest_level(x, self.levels(p))

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        levels = self.levels(p)
        index = basis_ops.level_index(x, levels)
        if levels.codes.shape[0] == 1:
            return levels.codes[0][index]
        return torch.gather(levels.codes, 1, index.flatten(1)).reshape(index.shape)


@dataclass(frozen=True)
class Basis(_Listed):
    """All sums of K numbers `p["basis"]`, shape (G, K), with digits -1/+1 (signed) or 0/1 (unsigned).

    `is_binary`: digits 0/1 for signed values, too; then numbers of both signs make the negative levels.
    """

    bits: int
    signed: bool
    is_binary: bool = False

    @property
    def digits(self) -> Literal["pm", "01"]:
        """`pm` or `01`."""
        return "pm" if self.signed and not self.is_binary else "01"

    def levels(self, p: Parameters) -> basis_ops.Levels:
        return basis_ops.sorted_levels(p["basis"], self.digits)

    def starts_at_zero(self, p: Parameters) -> bool:
        return not self.signed and bool((p["basis"] >= 0).all())

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        basis = p["integer"].cpu().numpy().astype(np.int16)
        return Planes(self.bits, basis, self.digits), p["scale"].reshape(-1).cpu().numpy()


@dataclass(frozen=True)
class Codebook(_Listed):
    """Any sorted levels `p["levels"]`, shape (G, 2^bits).

    A value goes to the nearest one, or by `p["thresholds"]`, (G, 2^bits - 1), where a rule gives them.
    """

    bits: int
    signed: bool

    def levels(self, p: Parameters) -> basis_ops.Levels:
        values = p["levels"]
        codes = torch.arange(values.shape[1], device=values.device).expand(values.shape)
        thresholds = p["thresholds"] if "thresholds" in p else (values[:, :-1] + values[:, 1:]) / 2
        return basis_ops.Levels(values, thresholds, codes)

    def starts_at_zero(self, p: Parameters) -> bool:
        return bool((p["levels"][:, 0] == 0).all())

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        return Table(self.bits, p["integer"].cpu().numpy().astype(np.int16)), p["scale"].reshape(-1).cpu().numpy()
