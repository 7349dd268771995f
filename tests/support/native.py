"""The native reader's verdict on a file, for tests that compare both readers."""

from __future__ import annotations

from typing import Any

import pytest

from kompakt._core.errors import ArtifactError
from kompakt.artifact import from_bytes


def native_module() -> Any:
    """The native module, or a skipped test that says why."""
    return pytest.importorskip("kompakt._native", reason="the native module is not built; pip install -e . builds it")


def native_verdict(data: bytes) -> str:
    """`legal`, or the kind of the native reader's refusal."""
    try:
        native_module().verify(data)
    except ArtifactError as error:
        return error.kind
    return "legal"


def verdict(data: bytes) -> str:
    """`legal`, or the kind of the Python reader's refusal."""
    try:
        from_bytes(data)
    except ArtifactError as error:
        return error.kind
    return "legal"
