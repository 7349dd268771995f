"""From what stands on the command line to a recipe and a run folder, shared by `compress` and `plan`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._core.errors import RecipeError

if TYPE_CHECKING:
    from ..strategy import Recipe

DEFAULT_RECIPE = "int8"  # no training, and fewer bits are asked for, never assumed
FILES = ("recipe.toml", "metrics.jsonl", "checkpoint.pt", "model.kpt", "report.html", "env.json", "result.json")


def is_model(source: str) -> bool:
    """Whether a SOURCE names a model (`zoo:NAME`, `FILE.py:FUNCTION`) and not a recipe."""
    return source.startswith("zoo:") or ".py:" in source


def recipe_of(source: str, recipe: str | None, data: str | None, settings: dict[str, Any]) -> Recipe:
    """The recipe of a run.

    Args:
        source: a recipe file, or a model.
        recipe: for a model: a recipe file, or a built-in recipe's name.
        data: overrides the recipe's data source.
        settings: override the recipe, such as {"train.epochs": 3}.
    Raises: RecipeError saying what is missing.
    """
    from ..strategy import load_recipe

    given = dict(settings)
    if data is not None:
        given["data.source"] = data
    if not is_model(source):
        if recipe is not None:
            raise RecipeError(
                f"{source}: --recipe goes with a model (FILE.py:FUNCTION or zoo:NAME), not with a recipe file"
            )
        loaded = load_recipe(source, given)
        if loaded.model.source == "given":
            raise RecipeError(
                f"recipe {loaded.name!r} names no model; "
                f"use: kompakt compress MODEL.py:FUNCTION --recipe {loaded.name} --data DATA"
            )
        return loaded
    base = load_recipe(recipe or DEFAULT_RECIPE)
    given.setdefault("name", f"{_model_name(source)}-{base.name}"[:80])
    return load_recipe(recipe or DEFAULT_RECIPE, {"model.source": source, **given})


def check_has_data(recipe: Recipe) -> None:
    """Raises: RecipeError if neither the recipe nor the command line says what to train and test with."""
    if recipe.data.source == "given":
        raise RecipeError(
            f"recipe {recipe.name!r} names no data; give --data cifar10, --data digits or --data FILE.py:FUNCTION"
        )


def check_folder(folder: Path) -> None:
    """Raises: RecipeError if the folder holds a run, which starting anew would destroy."""
    if (folder / "result.json").exists():
        raise RecipeError(
            f"{folder}: holds a finished run; give another --folder, --force to replace it, "
            "or --resume to pack and report again without training"
        )
    if (folder / "checkpoint.pt").exists():
        raise RecipeError(f"{folder}: holds an unfinished run; --resume goes on with it, --force replaces it")
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"{folder}: is a file; give another --folder")


def clear_folder(folder: Path) -> None:
    """Remove what an earlier run left; other files stay."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "smoke", ignore_errors=True)


def _model_name(source: str) -> str:
    """A word for a run's name: `cifar10-resnet20`, or the stem of the file."""
    word = source.removeprefix("zoo:") if source.startswith("zoo:") else Path(source.rpartition(":")[0]).stem
    return re.sub(r"[^A-Za-z0-9._-]", "-", word).lstrip("._-") or "model"
