"""Reading a run folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._core.errors import DataError

MAX_DEPTH = 20


@dataclass(frozen=True)
class Run:
    """The four files of a run folder; only `result` must exist, the others may be empty."""

    result: dict[str, Any]
    metrics: list[dict[str, Any]]
    env: dict[str, Any]
    recipe: str


def read(run_folder: str | os.PathLike[str]) -> Run:
    """Read `result.json`, `metrics.jsonl`, `env.json` and `recipe.toml` of a run folder.

    A last line of `metrics.jsonl` that a killed run left half-written is passed over.

    Raises: DataError naming the folder or file that is missing or not what it should be.
    """
    folder = Path(run_folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"{folder}: expected a run folder, found {found}; give one that `kompakt compress` wrote")
    text = _text(folder / "result.json")
    if text is None:
        raise DataError(f"{folder / 'result.json'}: not found; {_why_no_result(folder)}")
    env = _text(folder / "env.json")
    return Run(
        result=_object(text, folder / "result.json"),
        metrics=_lines(_text(folder / "metrics.jsonl") or "", folder / "metrics.jsonl"),
        env=_object(env, folder / "env.json") if env else {},
        recipe=_text(folder / "recipe.toml") or "",
    )


def _why_no_result(folder: Path) -> str:
    if (folder / "metrics.jsonl").exists() or (folder / "recipe.toml").exists():
        return "the run has not finished; finish it with `kompakt compress --resume`, then ask for the report again"
    return f"{folder} is not a run folder; give the folder that `kompakt compress` wrote"


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a readable UTF-8 text file ({error})") from error


def _object(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON ({error}); the file is damaged or was edited") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(value).__name__}")
    _check_depth(value, path)
    return value


def _check_depth(value: Any, path: Path) -> None:
    """Refuse nesting that no run has: what follows walks the values recursively."""
    level = [value]
    for _ in range(MAX_DEPTH):
        containers = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        level = [item for container in containers for item in container]
        if not level:
            return
    raise DataError(f"{path}: expected values nested at most {MAX_DEPTH} deep; the file is damaged or was edited")


def _lines(text: str, path: Path) -> list[dict[str, Any]]:
    lines = text.split("\n")
    whole, cut_off = lines[:-1], lines[-1]
    rows = [_object(line, Path(f"{path}:{number}")) for number, line in enumerate(whole, 1) if line.strip()]
    if cut_off.strip():
        try:
            rows.append(_object(cut_off, path))
        except DataError:
            return rows
    return rows
