"""Encodings and weights to JSON and section arrays, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.errors import ArtifactError
from ..encoding import Affine, Encoding, Planes, Table, checked_bits, pack, packed_bytes, unpack
from .sections import Sink, Source
from .variants import check_base
from .weight import FloatWeight, Weight, check_weight_shape

_ENCODING_KEYS = {"affine": {"signed"}, "planes": {"basis", "digits"}, "table": {"levels"}}
_WEIGHT_KEYS = {"affine": {"signed"}, "planes": {"digits", "grain"}, "table": {"grain"}, "float": set[str]()}


def describe_encoding(encoding: Encoding) -> dict[str, Any]:
    """JSON object of an activation's encoding."""
    entry: dict[str, Any] = {"bits": encoding.bits}
    if isinstance(encoding, Affine):
        return {**entry, "kind": "affine", **({"signed": True} if encoding.signed else {})}
    if isinstance(encoding, Table):
        return {**entry, "kind": "table", "levels": encoding.levels[0].tolist()}
    digits = {} if encoding.digits == "01" else {"digits": encoding.digits}
    return {**entry, "kind": "planes", "basis": encoding.basis[0].tolist(), **digits}


def restore_encoding(entry: Any) -> Encoding:
    """The encoding that `describe_encoding` wrote. Raises: ArtifactError (`node`, `encoding`)."""
    kind = _checked_kind(entry, _ENCODING_KEYS, {"bits"}, "encoding")
    if kind == "affine":
        return Affine(entry["bits"], _flag(entry))
    name = "basis" if kind == "planes" else "levels"
    rows = entry.get(name)
    if not isinstance(rows, list) or not rows or not all(type(level) is int and abs(level) < 1 << 15 for level in rows):
        raise ArtifactError(f"encoding: {name} must be a list of small integers, got {rows!r}", "encoding")
    if kind == "planes":
        return Planes(entry["bits"], np.array(rows), entry.get("digits", "01"))
    return Table(entry["bits"], np.array(rows))


def describe_weight(weight: Weight | FloatWeight, sink: Sink, is_variant: bool = False) -> dict[str, Any]:
    """JSON object of a weight; its codes, bases or floats go to `sink`, of a variant only its bases."""
    if isinstance(weight, FloatWeight):
        if not is_variant:
            sink.put("floats", weight.values)
        return {"kind": "float", "shape": list(weight.shape)}
    encoding = weight.encoding
    entry: dict[str, Any] = {"bits": encoding.bits, "shape": list(weight.shape)}
    if not is_variant:
        sink.put("codes", np.frombuffer(pack(weight.codes, encoding), np.uint8))
    if isinstance(encoding, Affine):
        return {**entry, "kind": "affine", **({"signed": True} if encoding.signed else {})}
    # With one output channel both grains are the same numbers; the default is the spelling.
    grain = {} if encoding.grains == weight.shape[0] else {"grain": "tensor"}
    if isinstance(encoding, Table):
        sink.put("bases", encoding.levels.astype(np.int8))
        return {**entry, "kind": "table", **grain}
    sink.put("bases", encoding.basis.astype(np.int8))
    return {**entry, "kind": "planes", **grain, **({} if encoding.digits == "pm" else {"digits": encoding.digits})}


def restore_weight(entry: Any, source: Source, base: Weight | FloatWeight | None = None) -> Weight | FloatWeight:
    """The weight that `describe_weight` wrote, of a variant from the weight `base` of the highest bit-width.

    Raises: ArtifactError, kinds as in docs/format.md.
    """
    is_float = isinstance(entry, dict) and entry.get("kind") == "float"
    kind = _checked_kind(entry, _WEIGHT_KEYS, {"shape"} if is_float else {"shape", "bits"}, "weight")
    shape = _weight_shape(entry["shape"])
    if base is not None:
        check_base(base, shape, None if is_float else checked_bits(entry["bits"], kind))
    if is_float:
        return FloatWeight(source.take("floats", shape) if base is None else base.levels())
    encoding = _weight_encoding(entry, kind, shape[0], source)
    if isinstance(base, Weight):
        return Weight(base.codes >> (base.bits - encoding.bits), encoding)
    packed = source.take("codes", (packed_bytes(math.prod(shape), encoding),))
    return Weight(unpack(packed.tobytes(), shape, encoding), encoding)


def _weight_encoding(entry: Mapping[str, Any], kind: str, channels: int, source: Source) -> Encoding:
    bits = checked_bits(entry["bits"], kind)
    if kind == "affine":
        return Affine(bits, _flag(entry))
    grain = entry.get("grain", "channel")
    if grain not in ("channel", "tensor"):
        raise ArtifactError(f"weight: grain must be channel or tensor, got {grain!r}", "encoding")
    rows = source.take("bases", (channels if grain == "channel" else 1, bits if kind == "planes" else 1 << bits))
    return Planes(bits, rows, entry.get("digits", "pm")) if kind == "planes" else Table(bits, rows)


def _weight_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise ArtifactError(f"weight: shape must be a list of integers, got {shape!r}", "node")
    check_weight_shape(tuple(shape))
    return tuple(shape)


def _checked_kind(entry: Any, kinds: Mapping[str, set[str]], needed: set[str], what: str) -> str:
    if not isinstance(entry, dict):
        raise ArtifactError(f"{what} must be an object, got {entry!r}", "node")
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise ArtifactError(f"{what}: kind must be one of {', '.join(kinds)}, got {kind!r}", "encoding")
    found, known = set(entry) - {"kind"}, needed | kinds[kind]
    if not needed <= found <= known:
        raise ArtifactError(f"{what} of kind {kind} has the keys {sorted(known)}, got {sorted(found)}", "node")
    return kind


def _flag(entry: Mapping[str, Any]) -> bool:
    if not isinstance(entry.get("signed", False), bool):
        raise ArtifactError(f"signed must be true or absent, got {entry['signed']!r}", "node")
    return bool(entry.get("signed", False))
