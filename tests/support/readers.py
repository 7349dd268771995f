"""Both readers behind one function each: `OK`, or the kind of the refusal. Any other exception is a test failure."""

from __future__ import annotations

from kompakt import _native
from kompakt._core.errors import ArtifactError
from kompakt.artifact import from_bytes


def python_verdict(file: bytes) -> str:
    """What `kompakt.artifact.from_bytes` says."""
    try:
        from_bytes(file)
    except ArtifactError as error:
        return error.kind
    return "OK"


def native_verdict(file: bytes) -> str:
    """What the reader of the engine says."""
    try:
        _native.verify(file)
    except ArtifactError as error:
        return error.kind
    return "OK"
