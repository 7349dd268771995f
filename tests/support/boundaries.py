"""Files on both sides of every limit of docs/format.md: the last legal one, and the next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from kompakt.artifact import Node, Program, to_bytes

from .drafts import Draft


class Boundary(NamedTuple):
    """A file, and what readers must say: `OK` or one of some kinds."""

    name: str
    file: bytes
    expected: tuple[str, ...]


def signed_file(nodes: list[dict[str, Any]], shape: list[int], **sections: bytes) -> bytes:
    """A signed file of these nodes, checked by nobody; the last node is the output."""
    draft = Draft(to_bytes(Program((1,), (Node("clamp", "out", ("input",)),), "out")))
    draft.manifest.update(nodes=nodes, output=nodes[-1]["name"], input={"shape": shape})
    draft.sections.update({name: bytearray(content) for name, content in sections.items()})
    return draft.to_bytes()


def boundaries() -> list[Boundary]:
    """All of them; none is larger than a few megabytes."""
    return [
        *_input_shapes(),
        *_kernels(),
        *_products(),
        *_input_counts(),
        *_sums(),
        *_windows(),
        *_groups(),
        *_outputs(),
    ]


def _one(op: str, inputs: int = 1, **attributes: Any) -> list[dict[str, Any]]:
    return [{"in": ["input"] * inputs, "name": "out", "op": op, **attributes}]


def _input_shapes() -> Iterator[Boundary]:
    edge = 1 << 24
    shapes: list[tuple[list[int], str]] = [
        ([edge], "OK"),
        ([edge + 1], "shape"),
        ([0], "shape"),
        ([edge, 8, 8], "OK"),  # input and output: 2^31 elements
        ([edge, 8, 9], "size"),
        ([edge, 1 << 8, 1], "size"),  # 2^32 elements: 0 in 32 bits
        ([edge, edge, 1 << 16], "size"),  # 2^64 elements: 0 in 64 bits
        ([edge, edge, (1 << 16) + 1], "size"),
        ([edge, edge, edge], "size"),
        ([2, 2], "shape"),
        ([1, 1, 1, 1], "shape"),
        ([], "shape"),
    ]
    for shape, expected in shapes:
        yield Boundary(f"input {shape}", signed_file(_one("clamp"), shape), (expected,))


def _kernels() -> Iterator[Boundary]:
    for width, expected in ((4096, "OK"), (4097, "shape")):
        weight = {"bits": 1, "kind": "affine", "shape": [1, 1, 1, width]}
        file = signed_file(_one("conv2d", weight=weight), [1, 1, width], codes=bytes(math.ceil(width / 8)))
        yield Boundary(f"conv2d kernel {width}", file, (expected,))
        file = signed_file(_one("max_pool", kernel=[1, width]), [1, 1, width])
        yield Boundary(f"max_pool kernel {width}", file, (expected,))


def _products() -> Iterator[Boundary]:
    """Weights whose element count, or its bits or bytes, is small in 64-bit arithmetic that wraps around."""
    edge = 1 << 24
    for shape in (
        [edge, edge, 1 << 12, 1 << 4],  # 2^64 elements: 0 in 64 bits
        [edge, edge, 1 << 12, 1 << 12],
        [edge, 1 << 13, 1 << 12, 1 << 12],  # 2^61 elements of 8 bits: 0 in 64 bits
        [edge, 1 << 14, 1 << 12, 1 << 12],  # 2^62 elements of 4 bytes: 0 in 64 bits
        [edge - 1, edge + 1, 1, 1],
        [edge, 1 << 8, 1, 1],
    ):
        for kind in ("affine", "planes", "table", "float"):
            weight: dict[str, Any] = {"kind": kind, "shape": shape, **({} if kind == "float" else {"bits": 8})}
            file = signed_file(_one("conv2d", weight=weight), [1, 1, 1], bases=bytes(8))
            yield Boundary(f"{kind} weight {shape}", file, ("size", "shape"))


def _input_counts() -> Iterator[Boundary]:
    for count, expected in ((0, "node"), (1, "node"), (2, "OK"), (1024, "OK"), (1025, "node")):
        yield Boundary(f"concat of {count}", signed_file(_one("concat", count), [1]), (expected,))


def _sums() -> Iterator[Boundary]:
    """Exactness bound: sum |w| * 128 in the last of three channels, all weights negative."""
    for total, expected in (
        ((1 << 24) - 1, "OK"),  # 2^31 - 128
        (1 << 24, "overflow_risk"),  # 2^31
        (1 << 25, "overflow_risk"),  # 2^32: 0 in 32 bits
    ):
        count = math.ceil(total / 127)
        levels = np.zeros((3, count), np.int8)
        levels[2] = -127
        levels[2, 0] += 127 * count - total
        encoding = {"bits": 8, "kind": "affine", "signed": True}
        nodes = [
            {"encoding": encoding, "in": ["input"], "inv_step": 1.0, "name": "q", "op": "quantize"},
            {"in": ["q"], "name": "l", "op": "linear", "weight": {**encoding, "shape": [3, count]}},
            {"in": ["l"], "name": "out", "op": "affine"},
        ]
        file = signed_file(nodes, [count], codes=levels.tobytes(), floats=bytes(24))
        yield Boundary(f"sum of levels {total}", file, (expected,))


def _windows() -> Iterator[Boundary]:
    """Windows that just fit, and that do not: a size that would be negative must not wrap around."""
    for height, expected in ((2, "OK"), (3, "shape")):
        file = signed_file(_one("sum_pool", kernel=[height, 1]), [1, 2, 2])
        yield Boundary(f"window {height} of 2", file, (expected,))
    for dilation, expected in ((4, "OK"), (5, "shape"), (4096, "shape")):
        weight = {"kind": "float", "shape": [1, 1, 2, 2]}
        attributes = {"dilation": [dilation, 1], "padding": [1, 0], "weight": weight}
        file = signed_file(_one("conv2d", **attributes), [1, 3, 3], floats=bytes(16))
        yield Boundary(f"dilation {dilation} of 5", file, (expected,))


def _groups() -> Iterator[Boundary]:
    """Groups divide the inputs, and the outputs too."""
    for inputs, outputs, expected in ((4, 6, "OK"), (4, 3, "shape"), (3, 6, "shape")):
        weight = {"kind": "float", "shape": [outputs, inputs // 2, 1, 1]}
        nodes = _one("conv2d", groups=2, weight=weight)
        file = signed_file(nodes, [inputs, 1, 1], floats=bytes(4 * outputs * (inputs // 2)))
        yield Boundary(f"groups 2 of {inputs} to {outputs}", file, (expected,))


def _outputs() -> Iterator[Boundary]:
    """Only float32 leaves a program."""
    encoding = {"bits": 2, "kind": "affine"}
    codes = {"encoding": encoding, "in": ["input"], "inv_step": 1.0, "name": "codes", "op": "quantize"}
    sums = {"in": ["codes"], "name": "sums", "op": "sum_pool"}
    floats = {"in": ["codes"], "name": "floats", "op": "dequantize", "scale": 1.0}
    for nodes, expected in (([codes], "node"), ([codes, sums], "node"), ([codes, floats], "OK")):
        yield Boundary(f"output {nodes[-1]['name']}", signed_file(nodes, [1, 2, 2]), (expected,))
