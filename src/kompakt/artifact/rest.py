"""What a cut file lacks: from the file of few bits and its rest comes the file of all bits, byte for byte."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from typing import Any

import numpy as np

from .._core.errors import ArtifactError
from ..encoding import Affine, Table, pack, unpack
from . import canonical
from .cut import coarser, nested_layers
from .limits import MAX_MANIFEST_BYTES
from .program import Node, Program
from .read import from_bytes
from .weight import Weight
from .write import to_bytes

_KEYS = {"base", "format", "full", "layers", "version"}
FORMAT, VERSION = "kompakt-rest", "1"


def rest_of(full: bytes, base: bytes) -> bytes:
    """The rest that makes `full` of `base`, in the form of docs/format.md.

    Raises: ArtifactError (`value`) if `base` is no cut of `full`.
    """
    (program, _), (few, _) = from_bytes(full), from_bytes(base)
    bits = nested_layers(program)
    less = {name: few_bits for name, few_bits in nested_layers(few).items() if few_bits < bits.get(name, 0)}
    layers, payload = [], b""
    for node in program.nodes:
        if node.name in less:
            weight = node.attrs["weight"]
            layers.append([node.name, weight.bits])
            payload += weight.encoding.table().astype(np.int8).tobytes()
            missing = weight.bits - less[node.name]
            payload += pack(weight.codes & (2**missing - 1), Affine(missing))
    header = canonical.dump({
        "base": _digest(base), "format": FORMAT, "full": _digest(full), "layers": layers, "version": VERSION,
    })  # fmt: skip
    rest = struct.pack("<Q", len(header)) + header + payload
    try:
        join(base, rest)
    except ArtifactError as error:
        raise ArtifactError(f"the base is no cut of the file: {error}", "value") from None
    return rest


def join(base: bytes, rest: bytes) -> bytes:
    """The file that `rest_of` was given as `full`.

    Raises: ArtifactError: `truncated`, `header`, `version`, `section`, `value` of the rest; any of the base; `digest`
        if the rest belongs to another base, or what comes out is not what was promised.
    """
    program, metadata = from_bytes(base)
    header, begin = _header(rest)
    if header["base"] != _digest(base):
        raise ArtifactError("the rest belongs to another base file", "digest")
    payload = _Reader(rest, begin)
    finer = {name: _finer(program, name, bits, payload) for name, bits in header["layers"]}
    payload.end()
    nodes = tuple(_with_weight(node, finer.get(node.name)) for node in program.nodes)
    full = to_bytes(replace(program, nodes=nodes), metadata)
    if header["full"] != _digest(full):
        raise ArtifactError("base and rest do not give the file that the rest promises", "digest")
    return full


def _header(rest: bytes) -> tuple[dict[str, Any], int]:
    """The checked header, and where the payload begins."""
    size = struct.unpack("<Q", rest[:8])[0] if len(rest) >= 8 else 0
    if size > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"rest: a header has at most {MAX_MANIFEST_BYTES} bytes, got {size}", "header")
    if len(rest) < max(8 + size, 9):
        raise ArtifactError("rest: ends before its header does", "truncated")
    header = canonical.parse(rest[8 : 8 + size], "header")
    if not isinstance(header, dict) or set(header) != _KEYS or canonical.dump(header) != rest[8 : 8 + size]:
        raise ArtifactError(f"rest: header must be canonical JSON with the keys {sorted(_KEYS)}", "header")
    if (header["format"], header["version"]) != (FORMAT, VERSION):
        raise ArtifactError(f"rest: expected {FORMAT} version {VERSION}, got {header['format']!r}", "version")
    layers = header["layers"]
    if not isinstance(layers, list) or not all(_is_layer(entry) for entry in layers):
        raise ArtifactError("rest: layers must be a list of [name, bits], bits 2 to 8", "header")
    if len({name for name, _ in layers}) != len(layers):
        raise ArtifactError("rest: a layer is named twice", "header")
    return header, 8 + size


def _is_layer(entry: Any) -> bool:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
        return False
    return type(entry[1]) is int and 2 <= entry[1] <= 8


class _Reader:
    """Hands out a rest's payload from its beginning to its end."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ArtifactError(f"rest: ends {self.at + count - len(self.data)} bytes early", "truncated")
        self.at += count
        return self.data[self.at - count : self.at]

    def end(self) -> None:
        if self.at != len(self.data):
            raise ArtifactError(f"rest: {len(self.data) - self.at} bytes follow the last layer", "section")


def _finer(program: Program, name: str, bits: int, payload: _Reader) -> Weight:
    few = nested_layers(program)
    if few.get(name, 8) >= bits:
        raise ArtifactError(f"rest: the base has no layer {name!r} of fewer than {bits} bits", "value")
    weight: Weight = next(node.attrs["weight"] for node in program.nodes if node.name == name)
    missing = bits - weight.bits
    levels = np.frombuffer(payload.take(weight.encoding.grains << bits), np.int8).reshape(-1, 1 << bits)
    low = unpack(payload.take((weight.codes.size * missing + 7) // 8), weight.shape, Affine(missing))
    found = Weight((weight.codes << missing) | low, Table(bits, levels))
    if coarser(found, weight.bits) != weight:
        raise ArtifactError(f"rest: layer {name!r} does not refine that of the base", "value")
    return found


def _with_weight(node: Node, weight: Weight | None) -> Node:
    return node if weight is None else Node(node.op, node.name, node.inputs, {**node.attrs, "weight": weight})


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
