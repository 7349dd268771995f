"""The folder that a run leaves: recipe as run, metrics, checkpoint, packed file, environment, result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .._core.files import atomic_write
from ..train import device_of
from .environment import environment
from .recipe import Recipe


def save_run(folder: Path, recipe: Recipe, result: dict[str, Any], packed: bytes, data_hash: str | None = None) -> None:
    """Write `recipe.toml`, `env.json`, `result.json` and `model.kpt`, each atomically."""
    atomic_write(folder / "model.kpt", packed)
    atomic_write(folder / "recipe.toml", recipe_toml(recipe).encode())
    device = device_of(recipe.train.device).type if recipe.train.epochs else "cpu"
    atomic_write(folder / "env.json", _json(environment(data_hash, recipe.seed, device)))
    atomic_write(folder / "result.json", _json(result))


def recipe_toml(recipe: Recipe) -> str:
    """The recipe as TOML that `load_recipe` reads back to the same recipe."""
    content = recipe.model_dump(exclude_none=True)
    top = [f"{key} = {_value(value)}" for key, value in content.items() if not isinstance(value, dict | list)]
    parts = ["\n".join(top)]
    for key, value in content.items():
        if isinstance(value, dict):
            parts.append(_table(f"[{key}]", value))
        elif isinstance(value, list):
            for entry in value:
                overrides = entry.pop("override", [])
                parts.append(_table(f"[[{key}]]", entry))
                parts += [_table(f"[[{key}.override]]", override) for override in overrides]
    return "\n\n".join(parts) + "\n"


def _table(header: str, content: dict[str, Any]) -> str:
    return "\n".join([header, *(f"{key} = {_value(value)}" for key, value in content.items())])


def _value(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
