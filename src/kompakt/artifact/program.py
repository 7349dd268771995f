"""The integer program: what a file stores, what the reference and the engine execute (docs/numerics.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from .._core.errors import ArtifactError, nearest
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
    """

    input_name: ClassVar[str] = "input"
    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    output: str

    def __post_init__(self) -> None:
        shape = tuple(positive_int(size, "input shape") for size in self.input_shape)
        object.__setattr__(self, "input_shape", shape)
        object.__setattr__(self, "nodes", tuple(self.nodes))


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        # Same bits: an offset of -0.0 is not an offset of 0.0.
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return type(a) is type(b) and bool(a == b)
