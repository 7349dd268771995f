"""The container of docs/format.md: a strict profile of safetensors. Header, section offsets and digests; no meaning."""

from __future__ import annotations

import hashlib
from typing import Any

from .._core.errors import ArtifactError
from . import canonical
from .limits import MAX_FILE_BYTES, MAX_HEADER_BYTES, MAX_MANIFEST_BYTES

ALIGNMENT = 64
VERSION = "1"
SECTIONS = {
    "manifest": ("U8", 1),
    "codes": ("U8", 1),
    "bases": ("I8", 1),
    "floats": ("F32", 4),
    "thresholds": ("I32", 4),
    "directions": ("I8", 1),
}
"""dtype and bytes per element of every section, in file order."""


def digest(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def header(lengths: dict[str, int], manifest_digest: str) -> bytes:
    """The header of a file whose sections have these byte lengths: length field, JSON, padding."""
    content: dict[str, Any] = {"__metadata__": {"format": "kompakt", "version": VERSION, "sha256": manifest_digest}}
    begin = 0
    for name, (dtype, width) in SECTIONS.items():
        end = begin + lengths[name]
        content[name] = {"dtype": dtype, "shape": [lengths[name] // width], "data_offsets": [begin, end]}
        begin = end
    text = canonical.dump(content, sort_keys=False)
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def split(data: bytes) -> dict[str, memoryview]:
    """Sections by name, the manifest's digest verified, nothing interpreted.

    Raises: ArtifactError: `truncated`, `size`, `header`, `version`, `section`, `digest`.
    """
    if len(data) > MAX_FILE_BYTES:
        raise ArtifactError(f"a file has at most {MAX_FILE_BYTES} bytes, got {len(data)}", "size")
    if len(data) < 8:
        raise ArtifactError(f"the file ends after {len(data)} bytes, before its 8-byte header length", "truncated")
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER_BYTES:
        raise ArtifactError(f"the header has at most {MAX_HEADER_BYTES} bytes, got {length}; not a .kpt file?", "size")
    if len(data) < 8 + length:
        raise ArtifactError(f"the file ends at {len(data)}, inside its header of {length} bytes", "truncated")
    text = bytes(data[8 : 8 + length])
    content = canonical.parse(text, "header")
    _check_version(content)
    lengths = _section_lengths(content)
    if lengths["manifest"] > MAX_MANIFEST_BYTES:
        raise ArtifactError(f"the manifest has at most {MAX_MANIFEST_BYTES} bytes, got {lengths['manifest']}", "size")
    end = 8 + length + sum(lengths.values())
    if len(data) != end:
        kind, what = ("truncated", "ends early") if len(data) < end else ("size", "has bytes after its last section")
        raise ArtifactError(f"the file {what}: the header declares {end} bytes, got {len(data)}", kind)
    expected = content["__metadata__"]["sha256"]
    if data[: 8 + length] != header(lengths, expected):
        raise ArtifactError("the header is not written canonically (key order, spaces, padding to 64)", "header")
    found = _cut(memoryview(data)[8 + length :], lengths)
    if digest(bytes(found["manifest"])) != expected:
        raise ArtifactError(f"manifest: SHA-256 is not {expected}; the file is damaged", "digest")
    return found


def _cut(body: memoryview, lengths: dict[str, int]) -> dict[str, memoryview]:
    found, begin = {}, 0
    for name, length in lengths.items():
        found[name] = body[begin : begin + length]
        begin += length
    return found


def _check_version(content: Any) -> None:
    about = content.get("__metadata__") if isinstance(content, dict) else None
    if not isinstance(about, dict):
        raise ArtifactError("the header has no __metadata__; not a .kpt file?", "header")
    if (about.get("format"), about.get("version")) != ("kompakt", VERSION):
        found = f"{about.get('format')!r} version {about.get('version')!r}"
        raise ArtifactError(f"expected format 'kompakt' version '{VERSION}', got {found}", "version")
    if not isinstance(about.get("sha256"), str) or set(about) != {"format", "version", "sha256"}:
        raise ArtifactError("__metadata__ must hold format, version and sha256, all text", "header")


def _section_lengths(content: dict[str, Any]) -> dict[str, int]:
    """Byte length of every section; offsets proven to ascend from 0 without holes."""
    if set(content) - {"__metadata__"} != set(SECTIONS):
        raise ArtifactError(f"expected the sections {', '.join(SECTIONS)}, got {', '.join(sorted(content))}", "section")
    lengths, begin = {}, 0
    for name, (dtype, width) in SECTIONS.items():
        entry = content[name]
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"} or entry["dtype"] != dtype:
            raise ArtifactError(
                f"section {name}: expected dtype {dtype}, shape and data_offsets, got {entry}", "section"
            )
        if not _are_counts(entry["shape"], 1) or not _are_counts(entry["data_offsets"], 2):
            raise ArtifactError(f"section {name}: shape and data_offsets must be counts, got {entry}", "section")
        end = begin + entry["shape"][0] * width
        if entry["data_offsets"] != [begin, end]:
            raise ArtifactError(f"section {name}: expected data_offsets [{begin}, {end}], got {entry}", "section")
        lengths[name], begin = end - begin, end
    return lengths


def _are_counts(values: Any, number: int) -> bool:
    is_list = isinstance(values, list) and len(values) == number
    return is_list and all(type(value) is int and 0 <= value <= MAX_FILE_BYTES for value in values)
