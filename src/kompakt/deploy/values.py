"""What a value of the graph is while it is lowered: codes, or numbers with an affine map or a sum still to be done."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._core.errors import GraphError
from .coding import Coding


@dataclass(frozen=True, eq=False)
class Coded:
    """Real value = level(code) * scale."""

    name: str
    coding: Coding


@dataclass(frozen=True, eq=False)
class Lazy:
    """Real value = clamp(base * m[c] + b[c]); the map is emitted only when somebody needs the float.

    Attributes:
        kind: of the base, `acc` or `f32`.
        m, b: float64 (C,), or None for the identity; an `acc` base always has a map.
        clamp: limits, or None.
        bound: largest magnitude of an `acc` base.
    """

    name: str
    kind: str
    m: np.ndarray | None = None
    b: np.ndarray | None = None
    clamp: tuple[float, float] | None = None
    bound: int = 0

    def then_affine(self, m: np.ndarray, b: np.ndarray) -> Lazy:
        """The same value, then `* m + b`; only for a value without clamp."""
        assert self.clamp is None
        if self.m is None or self.b is None:
            return replace(self, m=np.asarray(m, np.float64), b=np.asarray(b, np.float64))
        return replace(self, m=self.m * m, b=self.b * m + b)

    @property
    def affine32(self) -> tuple[np.ndarray, np.ndarray]:
        """Multiplier and offset as the file stores them. Raises: GraphError if one is not finite in float32."""
        assert self.m is not None
        assert self.b is not None
        with np.errstate(over="ignore"):
            m, b = self.m.astype(np.float32), self.b.astype(np.float32)
        if not (np.isfinite(m).all() and np.isfinite(b).all()):
            raise GraphError(
                f"{self.name}: scale, bias or batch-norm behind it hold NaN, Inf or values that float32 cannot hold"
            )
        return m, b


@dataclass(frozen=True, eq=False)
class Sum:
    """Real value = clamp(first + second); it waits, because codes may be made of both without a float.

    Attributes:
        first: an integer sum, without a clamp. second: another one, or codes.
        clamp: limits, or None.
    """

    first: Lazy
    second: Coded | Lazy
    clamp: tuple[float, float] | None = None

    @property
    def operands(self) -> tuple[Lazy, Coded | Lazy]:
        """Both."""
        return self.first, self.second


Value = Coded | Lazy | Sum
