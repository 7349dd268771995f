"""Where a model file came from, as its metadata tell: the data to test it with, the float network to compare it with.

Metadata are text that anybody may have written. They may name a pretrained network or a data set, but never choose code
to run: a FILE.py:FUNCTION must stand on the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core.errors import RecipeError
from ..data import Dataset, card, load_dataset, preparation

if TYPE_CHECKING:
    from ..strategy.sources import ModelSource


def recipe_lines(metadata: dict[str, Any]) -> dict[str, str]:
    """The recipe in the metadata, `model.source` -> `zoo:cifar10-resnet20` and so on."""
    lines = str(metadata.get("recipe", "")).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def dataset_of(metadata: dict[str, Any], given: str | None, model: str | None = None) -> Dataset:
    """Data for a model file, normalised as its network wants them.

    Args:
        given: `--data`, else the file's own record counts.
        model: `--model`, else the file's own record counts.
    Raises: RecipeError if neither says what the data are. DataError if they are not found.
    """
    recorded = recipe_lines(metadata)
    source = given or _recorded(recorded, "data.source", "--data")
    network = model or recorded.get("model.source", "")
    if not network.startswith("zoo:"):
        return load_dataset(source)
    return load_dataset(source, preparation(card(network.removeprefix("zoo:"))))


def float_model(metadata: dict[str, Any], given: str | None) -> ModelSource:
    """The float network that a model file was made from. Raises: RecipeError if it is not known; DataError."""
    from ..strategy.sources import load_model

    return load_model(given or _recorded(recipe_lines(metadata), "model.source", "--model"))


def _recorded(recorded: dict[str, str], key: str, option: str) -> str:
    source = recorded.get(key, "given")
    if source == "given":
        raise RecipeError(f"the file does not say where it came from ({key}); give {option}")
    if ".py:" in source:
        raise RecipeError(
            f"the file names {source}, but a model file must not choose code to run; give {option} {source}"
        )
    return source
