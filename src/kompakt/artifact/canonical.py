"""Canonical JSON: one value, one spelling. What does not print back to the same bytes is refused."""

from __future__ import annotations

import json
import re
from typing import Any

from .._core.errors import ArtifactError

_MAX_DIGITS = 32
_LONGEST_EXACT = 1 << 53
_TEXT = re.compile(r"[ -~\n\t]*\Z")


def dump(value: Any, sort_keys: bool = True) -> bytes:
    """The only spelling of `value`: ASCII, no spaces, sorted keys, numbers as Python prints them."""
    return json.dumps(value, sort_keys=sort_keys, separators=(",", ":"), allow_nan=False).encode("ascii")


def parse(data: bytes, kind: str) -> Any:
    """Parse canonical JSON. Spelling is not checked here: compare with `dump` once the content is understood.

    Raises: ArtifactError of `kind`: not ASCII, not JSON, too deep, a duplicate key, a number that is not finite or
        longer than any that we write.
    """
    try:
        return json.loads(
            data.decode("ascii"),
            object_pairs_hook=lambda pairs: _object(pairs, kind),
            parse_int=lambda text: _integer(text, kind),
            parse_float=lambda text: _float(text, kind),
            parse_constant=lambda text: _refuse(f"{text} is no number of JSON", kind),
        )
    except UnicodeDecodeError as error:
        raise ArtifactError(
            f"{kind}: expected ASCII, got byte {data[error.start]:#04x} at {error.start}", kind
        ) from None
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{kind}: not JSON: {error}", kind) from None
    except RecursionError:
        raise ArtifactError(f"{kind}: JSON is nested too deeply", kind) from None


def check_metadata(metadata: Any) -> dict[str, str | int | float]:
    """The `metadata` object: text and numbers for people. Raises: ArtifactError (`manifest`)."""
    if not isinstance(metadata, dict):
        raise ArtifactError(f"metadata must be a dict, got {type(metadata).__name__}", "manifest")
    for key, value in metadata.items():
        if not isinstance(key, str) or not 1 <= len(key) <= 100 or not _TEXT.match(key):
            raise ArtifactError(f"metadata: keys must be 1 to 100 printable ASCII characters, got {key!r}", "manifest")
        if not _is_plain(value):
            raise ArtifactError(
                f"metadata[{key!r}]: expected ASCII text, an integer up to 2^53 or a finite float, got {value!r}",
                "manifest",
            )
    return metadata


def _is_plain(value: Any) -> bool:
    if type(value) is str:
        return bool(_TEXT.match(value))
    if type(value) is int:
        return -_LONGEST_EXACT <= value <= _LONGEST_EXACT
    return type(value) is float and value - value == 0.0  # NaN and infinities give NaN


def _refuse(message: str, kind: str) -> Any:
    raise ArtifactError(f"{kind}: {message}", kind)


def _object(pairs: list[tuple[str, Any]], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            _refuse(f"duplicate key {key!r}", kind)
        found[key] = value
    return found


def _integer(text: str, kind: str) -> int:
    return int(text) if len(text) <= _MAX_DIGITS else int(_refuse(f"number of {len(text)} digits", kind))


def _float(text: str, kind: str) -> float:
    value = float(text) if len(text) <= _MAX_DIGITS else float("inf")
    return value if abs(value) < float("inf") else float(_refuse(f"number {text[:40]!r} is too large or long", kind))
