"""Networks of several bit-widths in one file: weights are stored once, with the codes of the highest bit-width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from .._core.errors import ArtifactError
from .program import Node
from .weight import FloatWeight, Weight

MAX_BITS = 8
Weights = Mapping[str, Weight | FloatWeight]


def weights_of(nodes: Sequence[Node]) -> dict[str, Weight | FloatWeight]:
    """The weights of a program by node."""
    return {node.name: node.attrs["weight"] for node in nodes if "weight" in node.attrs}


def namesake(weights: Weights, name: str) -> Weight | FloatWeight:
    """The weight of the node of that name at the highest bit-width. Raises: ArtifactError (`node`) if it has none."""
    if name not in weights:
        raise ArtifactError(
            f"node {name!r}: a variant's weight is that of the node of its name, which has none", "node"
        )
    return weights[name]


def check_base(base: Weight | FloatWeight, shape: tuple[int, ...], bits: int | None) -> None:
    """Whether a weight of this shape can be a part of `base`; bits None: of floats. Raises: ArtifactError."""
    if (bits is None) != isinstance(base, FloatWeight):
        raise ArtifactError("a variant's weight has codes where that of the highest bit-width has, else floats", "node")
    if shape != base.shape:
        raise ArtifactError(
            f"a variant's weight has the shape {base.shape} of the highest bit-width, got {shape}", "shape"
        )
    if bits is not None and bits > base.bits:
        raise ArtifactError(
            f"a variant's weight has at most the {base.bits} bits that are stored, got {bits}", "encoding"
        )


def check_widths(widths: Sequence[int]) -> None:
    """Bit-widths of a file of several, highest first. Raises: ArtifactError (`value`)."""
    if len(widths) < 2 or widths[0] > MAX_BITS or widths[-1] < 1 or any(a <= b for a, b in pairwise(widths)):
        raise ArtifactError(
            f"bit-widths of a file must descend from at most {MAX_BITS} to at least 1, got {list(widths)}"
        )


def check_nested(nodes: Sequence[Node], weights: Weights) -> None:
    """Every weight of a variant is the beginning of its namesake. Raises: ArtifactError."""
    for name, weight in weights_of(nodes).items():
        base, where = namesake(weights, name), f"node {name!r}"
        try:
            check_base(base, weight.shape, weight.bits if isinstance(weight, Weight) else None)
        except ArtifactError as error:
            raise ArtifactError(f"{where}: {error}", error.kind) from None
        if isinstance(weight, Weight) and isinstance(base, Weight):
            is_same = np.array_equal(weight.codes, base.codes >> (base.bits - weight.bits))
        else:
            is_same = weight == base
        if not is_same:
            raise ArtifactError(
                f"{where}: a variant's codes are the first bits of those of the highest bit-width", "node"
            )
