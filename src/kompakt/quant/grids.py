"""Grids: where the levels lie. Pure functions of values `x`, parameters `p` and settings; parameters come from a rule.

A grid gives `value(x, p)` (nearest level, no gradient), `code(x, p)` and `encoding(p)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..encoding import Affine, Encoding, Planes
from ..ops import basis as basis_ops
from ..ops import uniform

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Uniform:
    """Whole multiples of `step`. Signed 8-bit weights leave out -128, so that products stay in range."""

    bits: int
    signed: bool
    symmetric: bool = False

    @property
    def limits(self) -> tuple[int, int]:
        return uniform.limits(self.bits, self.signed, self.symmetric)

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        return torch.clamp(torch.round(x / p["step"]), *self.limits) * p["step"]

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        level = torch.clamp(torch.round(x / p["step"]), *self.limits)
        return level.to(torch.int64) & (2**self.bits - 1)

    def starts_at_zero(self, p: Parameters) -> bool:
        """Whether the lowest level is 0, so that negative values need no ReLU in front."""
        return not self.signed

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        """The encoding, and one scale per grain, float32 (G,)."""
        return Affine(self.bits, self.signed), p["step"].detach().float().reshape(-1).numpy()


@dataclass(frozen=True)
class Basis:
    """All sums of K learned numbers with digits -1/+1 (signed) or 0/1 (unsigned). Levels of `p["basis"]`, shape (G, K)."""

    bits: int
    signed: bool

    @property
    def digits(self) -> str:
        return "pm" if self.signed else "01"

    def levels(self, p: Parameters) -> basis_ops.Levels:
        return basis_ops.sorted_levels(p["basis"], self.digits)

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        return basis_ops.nearest_level(x, self.levels(p))

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        levels = self.levels(p)
        index = basis_ops.level_index(x, levels)
        codes = levels.codes.reshape(-1, levels.codes.shape[-1])
        if codes.shape[0] == 1:
            return codes[0][index]
        return torch.gather(codes, 1, index.flatten(1)).reshape(index.shape)

    def starts_at_zero(self, p: Parameters) -> bool:
        """Whether the lowest level is 0, so that negative values need no ReLU in front."""
        return not self.signed and bool((p["basis"] >= 0).all())

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        """Integer basis and one scale per grain, float32 (G,)."""
        return Planes(self.bits, p["integer"].numpy().astype(np.int16), self.digits), p["scale"].reshape(-1).numpy()
