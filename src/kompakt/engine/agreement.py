"""Whether the engine and the NumPy reference agree bit for bit, and if not, at which node they part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .. import _native
from ..artifact import Program
from .reference import run_all


@dataclass(frozen=True)
class Difference:
    """The first node whose values are not those of the reference.

    Attributes:
        node, op: where. `op` is "whole program" if every node agrees alone, but the fused execution does not.
        count: differing values, of `size`.
        index: position of the first one, batch axis first; `found` in the engine, `expected` in the reference.
    """

    node: str
    op: str
    count: int
    size: int
    index: tuple[int, ...]
    found: float
    expected: float

    def __str__(self) -> str:
        return (
            f"node {self.node!r} ({self.op}): {self.count} of {self.size} values differ, "
            f"first at {self.index}: engine {self.found!r}, reference {self.expected!r}"
        )


class Comparison:
    """A program and its reference values on one batch, to compare with engines of any level and thread count.

    Args:
        data: the file's bytes. program: what they hold.
        x: float32 (N, *input_shape), no NaN.
        bits: of a file of several bit-widths, which one is compared; None: the highest.
    """

    def __init__(self, data: bytes, program: Program, x: np.ndarray, bits: int | None = None) -> None:
        self.data, self.program, self.x = data, program.at(bits), x
        self.place = 0 if bits is None else program.widths.index(bits)
        self.expected: Mapping[str, np.ndarray] = run_all(self.program, x)

    def difference(self, isa: str, threads: int = 1, prefer: str = "") -> Difference | None:
        """None if all values and the output agree bit for bit.

        Args:
            isa: instruction set level.
            prefer: kernel family to take wherever it is legal; empty for the engine's choice.
        Raises: InputError for a level that there is not on this CPU.
        """
        _, engine = _native.engines(self.data, threads, isa, prefer)[self.place]
        found = engine.values(self.x)
        for node in self.program.nodes:
            if not is_same(found[node.name], self.expected[node.name]):
                return _first(node.name, node.op, found[node.name], self.expected[node.name])
        output, expected = engine.run(self.x), self.expected[self.program.output]
        return None if is_same(output, expected) else _first(self.program.output, "whole program", output, expected)


def is_same(a: np.ndarray, b: np.ndarray) -> bool:
    """Same type, shape and bits; where both are NaN, the payload does not count (docs/numerics.md)."""
    return a.dtype == b.dtype and a.shape == b.shape and not _differs(a, b).any()


def _differs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype != np.float32:
        return np.asarray(a != b)
    bits = np.ascontiguousarray(a).view(np.uint32) != np.ascontiguousarray(b).view(np.uint32)
    return np.asarray(bits & ~(np.isnan(a) & np.isnan(b)))


def _first(node: str, op: str, found: np.ndarray, expected: np.ndarray) -> Difference:
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return Difference(node, op, expected.size, expected.size, (), float("nan"), float("nan"))
    different = _differs(found, expected)
    index = tuple(int(i) for i in np.argwhere(different)[0])
    return Difference(
        node, op, int(different.sum()), different.size, index, found[index].item(), expected[index].item()
    )
