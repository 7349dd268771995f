"""Cards of pretrained networks: what their folder says about them. Needs no torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .._core.errors import DataError, nearest
from ._locate import locate

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def pretrained_folder(name: str) -> Path:
    """Folder `models/<name>` of the data path. Raises: DataError naming the nearest networks that are there."""
    if not _NAME.match(name):
        raise DataError(f"zoo:{name}: a name holds letters, digits, '.', '_' and '-'")
    try:
        return locate(f"models/{name}")
    except DataError as error:
        raise DataError(f"{error}; {nearest(name, _available())}") from None


def card(name: str) -> dict[str, Any]:
    """Content of `card.json` of a pretrained network. Raises: DataError."""
    path = pretrained_folder(name) / "card.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def _available() -> list[str]:
    try:
        return sorted(path.name for path in locate("models").iterdir() if path.is_dir())
    except DataError:
        return []
