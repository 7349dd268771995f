"""Canonical JSON and the container: one spelling, and nothing read before it is checked."""

from __future__ import annotations

import hashlib

import pytest

from kompakt._core.errors import ArtifactError
from kompakt.artifact import canonical, sections
from kompakt.artifact.layout import header, split


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1.0, 0.1]}, b'{"a":[1.0,0.1],"b":1}'),
        (1e22, b"1e+22"),
        (1e-07, b"1e-07"),
        (123456789012345680.0, b"1.2345678901234568e+17"),
        (-0.5, b"-0.5"),
        ('a"\\\n\t', b'"a\\"\\\\\\n\\t"'),
    ],
)
def test_spelling(value: object, text: bytes) -> None:
    assert canonical.dump(value) == text
    assert canonical.parse(text, "manifest") == value


def test_nan_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical.dump(float("nan"))


@pytest.mark.parametrize(
    "text", [b"NaN", b"-Infinity", b"1e999", b'{"a":1,"a":1}', b"[" * 100_000, b"\xff", b"{", b"7" * 33, b""]
)
def test_refused(text: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"^manifest: ") as caught:
        canonical.parse(text, "manifest")
    assert caught.value.kind == "manifest"
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "metadata",
    [
        {"": 1},
        {"a" * 101: 1},
        {1: 1},
        {"a": None},
        {"a": True},
        {"a": [1]},
        {"a": "ü"},
        {"a": "\r"},
        {"a": 2**53 + 1},
        {"a": float("inf")},
        {"ü": 1},
        "text",
    ],
)
def test_metadata_refused(metadata: object) -> None:
    with pytest.raises(ArtifactError, match="metadata") as caught:
        canonical.check_metadata(metadata)
    assert caught.value.kind == "manifest"


def test_header_is_padded_and_ordered() -> None:
    lengths = {"manifest": 64, "codes": 3, "bases": 0, "floats": 8, "thresholds": 4, "directions": 1}
    text = header(lengths, "0" * 64)
    assert len(text) % 64 == 0
    assert text[8:].startswith(b'{"__metadata__":{"format":"kompakt","version":"1","sha256":"000')
    assert b'"floats":{"dtype":"F32","shape":[2],"data_offsets":[67,75]}' in text


def test_split_gives_the_sections_only_if_the_manifest_is_whole() -> None:
    lengths = {"manifest": 64, "codes": 3, "bases": 0, "floats": 0, "thresholds": 0, "directions": 0}
    manifest = b"{}" + b" " * 62
    data = header(lengths, hashlib.sha256(manifest).hexdigest()) + manifest + b"abc"
    assert bytes(split(data)["codes"]) == b"abc"
    assert sections(data) == {"header": len(data) - 67, **lengths}
    with pytest.raises(ArtifactError, match="damaged") as caught:
        split(data.replace(b"{}", b"[]"))
    assert caught.value.kind == "digest"
