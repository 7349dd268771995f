"""The integer program: what a file stores, what the reference and the engine execute (docs/numerics.md)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from .._core.errors import ArtifactError, InputError, nearest
from ..encoding import Encoding
from .attributes import positive_int
from .ops import OPS, complete

_NAME = re.compile(r"[A-Za-z0-9_.]{1,100}\Z")


@dataclass(frozen=True)
class ValueType:
    """Type of a value: kind `f32`, `acc` or `code`, shape without the batch axis, encoding of codes (else None).

    `bound`: the largest magnitude that a sum of kind `acc` can have; 0 for other kinds.
    """

    kind: str
    shape: tuple[int, ...]
    encoding: Encoding | None = None
    bound: int = 0


@dataclass(frozen=True, eq=False)
class Node:
    """One operator applied to earlier values; it gives the value that bears its name.

    Args:
        op: name in `ops.OPS`.
        name: letters, digits, `_` and `.`, at most 100; unique in a program.
        inputs: names of earlier nodes, or `input`.
        attrs: attributes as `docs/format.md` lists them, encodings and weights as objects. Completed here: defaults
            are filled in, lists become tuples, arrays are copied and read-only.
    Raises: ArtifactError, kinds as in docs/format.md.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    attrs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.match(self.name):
            raise ArtifactError(f"node name must match [A-Za-z0-9_.]{{1,100}}, got {self.name!r}", "node")
        where = f"node {self.name!r}"
        if not isinstance(self.op, str) or self.op not in OPS:
            raise ArtifactError(f"{where}: unknown op {self.op!r}; {nearest(str(self.op), OPS)}", "node")
        if not isinstance(self.inputs, (list, tuple)) or not all(isinstance(name, str) for name in self.inputs):
            raise ArtifactError(f"{where}: inputs must be a list of names, got {self.inputs!r}", "node")
        object.__setattr__(self, "inputs", tuple(self.inputs))
        low, high = OPS[self.op].arity
        if not low <= len(self.inputs) <= high:
            raise ArtifactError(f"{where}: {self.op} takes {low} to {high} inputs, got {len(self.inputs)}", "node")
        object.__setattr__(self, "attrs", complete(self.op, self.attrs, where))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        if (self.op, self.name, self.inputs) != (other.op, other.name, other.inputs):
            return False
        return all(_is_same(value, other.attrs[key]) for key, value in self.attrs.items())

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Program:
    """Nodes in execution order, from the float32 value `input` to the float32 value `output`.

    Args:
        input_shape: (C,) or (C, H, W), without the batch axis.
        nodes: in execution order.
        output: name of the last node.
        bits: the highest bit-width of a network of several; 0: there is one.
        variants: the network at lower bit-widths, which descend. The codes of its weights are the first bits of those
            of the node of the same name here.
    """

    input_name: ClassVar[str] = "input"
    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    output: str
    bits: int = 0
    variants: tuple[Program, ...] = ()

    def __post_init__(self) -> None:
        shape = tuple(positive_int(size, "input shape") for size in self.input_shape)
        object.__setattr__(self, "input_shape", shape)
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "variants", tuple(self.variants))

    @property
    def widths(self) -> tuple[int, ...]:
        """The bit-widths, highest first; (0,) where there is one."""
        return (self.bits, *(variant.bits for variant in self.variants))

    def at(self, bits: int | None) -> Program:
        """The program of one bit-width, alone; None: the highest. Raises: InputError naming those that there are."""
        if bits is None:
            return replace(self, bits=0, variants=())
        return replace((self, *self.variants)[place_of(bits, self.widths)], bits=0, variants=())


def place_of(bits: int, widths: Sequence[int]) -> int:
    """Where a bit-width stands among those of a file. Raises: InputError naming those that there are."""
    if bits in widths and bits != 0:
        return widths.index(bits)
    if 0 in widths:
        raise InputError(f"no network of {bits} bits: the file has one bit-width; leave bits out")
    raise InputError(f"no network of {bits} bits; the file has {', '.join(map(str, widths))}")


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        # Same bits: an offset of -0.0 is not an offset of 0.0.
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return type(a) is type(b) and bool(a == b)
