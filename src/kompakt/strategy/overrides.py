"""Settings such as `train.epochs=3` put into the nested tables of a recipe."""

from __future__ import annotations

import copy
from typing import Any

from .._core.errors import RecipeError


def override(raw: dict[str, Any], settings: dict[str, object], where: str) -> dict[str, Any]:
    """A copy of `raw` with values set by dotted keys.

    Entries of a list go by number (`stage.override.1.method`); the number may be left out where there is one entry
    (`stage.method`). Missing tables are made.

    Args:
        where: names the recipe in messages.
    Raises: RecipeError naming the key that leads nowhere.
    """
    tables = copy.deepcopy(raw)
    for dotted, value in settings.items():
        _set(tables, dotted, value, where)
    return tables


def _set(tables: dict[str, Any], dotted: str, value: object, where: str) -> None:
    keys = dotted.split(".")
    table: Any = tables
    for i, key in enumerate(keys):
        place = f"{where}: {dotted}"
        if isinstance(table, list) and not key.isdigit():
            table = _only(table, ".".join(keys[:i]), place)
        if not isinstance(table, dict | list):
            raise RecipeError(f"{place}: {keys[i - 1]} is a value, not a table")
        if isinstance(table, list) and int(key) >= len(table):
            raise RecipeError(
                f"{place}: there is no entry {key}, {'.'.join(keys[:i])} has {len(table)} (counted from 0)"
            )
        index: Any = int(key) if isinstance(table, list) else key
        if i == len(keys) - 1:
            table[index] = value
        else:
            table = table.setdefault(index, {}) if isinstance(table, dict) else table[index]


def _only(entries: list[Any], name: str, place: str) -> Any:
    if len(entries) != 1:
        raise RecipeError(f"{place}: {name} has {len(entries)} entries; say which: {name}.0")
    return entries[0]
