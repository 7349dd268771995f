"""Files taken apart, changed, and put together again with correct digests: for tests that need exactly one defect."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

SECTIONS = {
    "manifest": ("U8", 1),
    "codes": ("U8", 1),
    "bases": ("I8", 1),
    "floats": ("F32", 4),
    "thresholds": ("I32", 4),
    "directions": ("I8", 1),
}


def dump(value: Any) -> bytes:
    """Canonical JSON, written without the library under test. NaN and infinities come out as Python spells them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def sha256(data: bytes) -> str:
    """Lower-case hex digest."""
    return hashlib.sha256(data).hexdigest()


def padded(text: bytes, before: int = 0) -> bytes:
    """Text with spaces, so that `before` bytes and it are a multiple of 64."""
    return text + b" " * (-(before + len(text)) % 64)


class Draft:
    """A file in parts: `header` and `manifest` as objects, the other sections as bytearrays.

    `to_bytes` writes the parts with fresh offsets and digests; a test that wants those wrong changes the bytes after.
    """

    def __init__(self, data: bytes) -> None:
        length = struct.unpack("<Q", data[:8])[0]
        self.header: dict[str, Any] = json.loads(data[8 : 8 + length])
        body = data[8 + length :]
        self.sections = {name: bytearray(body[slice(*self.header[name]["data_offsets"])]) for name in SECTIONS}
        self.manifest: dict[str, Any] = json.loads(self.sections.pop("manifest"))

    def node(self, name: str) -> dict[str, Any]:
        """The node of that name, to be changed in place."""
        return next(node for node in self.manifest["nodes"] if node["name"] == name)

    def array(self, section: str, dtype: Any) -> np.ndarray:
        """A section as an array that can be changed in place."""
        return np.frombuffer(self.sections[section], dtype)

    def sign(self) -> None:
        """Digests of the data sections into the manifest."""
        self.manifest["digests"] = {name: sha256(bytes(data)) for name, data in self.sections.items()}

    def to_bytes(self) -> bytes:
        """The file, signed."""
        self.sign()
        return self.with_manifest(padded(dump(self.manifest)))

    def with_manifest(self, text: bytes) -> bytes:
        """The file with this manifest text, which is signed but not looked at."""
        return container({"manifest": text, **{name: bytes(data) for name, data in self.sections.items()}})


def container(
    parts: dict[str, bytes], change: Callable[[dict[str, Any]], Any] | None = None, sort_keys: bool = False
) -> bytes:
    """Header and sections; `change` edits the header object before it is written (and may return another one)."""
    about = {"format": "kompakt", "version": "1", "sha256": sha256(parts["manifest"])}
    content: dict[str, Any] = {"__metadata__": about}
    begin = 0
    for name, (dtype, width) in SECTIONS.items():
        end = begin + len(parts[name])
        content[name] = {"dtype": dtype, "shape": [len(parts[name]) // width], "data_offsets": [begin, end]}
        begin = end
    if change is not None:
        content = change(content) or content
    text = json.dumps(content, sort_keys=sort_keys, separators=(",", ":")).encode()
    return with_header(padded(text, 8), parts)


def with_header(text: bytes, parts: dict[str, bytes]) -> bytes:
    """Any header text before the sections."""
    return struct.pack("<Q", len(text)) + text + b"".join(parts[name] for name in SECTIONS)


def split_parts(data: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Header text and section bytes."""
    length = struct.unpack("<Q", data[:8])[0]
    text, body = data[8 : 8 + length], data[8 + length :]
    header = json.loads(text)
    return text, {name: body[slice(*header[name]["data_offsets"])] for name in SECTIONS}
