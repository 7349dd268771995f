"""Models and data named in a recipe or on the command line: `zoo:NAME`, a data set's name, or `FILE.py:FUNCTION`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .._core.errors import DataError, RecipeError, nearest
from .. import data as datasets
from ..data import Dataset, Split
from ..zoo import load as load_pretrained

DATASETS: dict[str, Callable[[], Dataset]] = {"cifar10": datasets.cifar10, "digits": datasets.digits}


@dataclass(frozen=True)
class ModelSource:
    """A float model and what is known about it.

    Attributes:
        input_shape: (C, H, W) or (features,), None if only the data can tell.
        file_bytes: bytes of its weights file on disk, None if it came as an object.
        normalisation: (mean, std) that it was trained with, None if unknown.
    """

    module: nn.Module
    name: str
    input_shape: tuple[int, ...] | None = None
    file_bytes: int | None = None
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def load_model(source: str) -> ModelSource:
    """Load `zoo:NAME` or call `FILE.py:FUNCTION`. Raises: RecipeError or DataError saying what was expected."""
    if source.startswith("zoo:"):
        name = source.removeprefix("zoo:")
        found = load_pretrained(name)
        normalisation = (tuple(found.card["input"]["mean"]), tuple(found.card["input"]["std"]))
        return ModelSource(found.module, source, found.input_shape, found.file_bytes, normalisation)
    model = call_user_function(source, "model")
    if not isinstance(model, nn.Module):
        raise RecipeError(f"{source}: must return a torch.nn.Module, returned {type(model).__name__}")
    return ModelSource(model, source)


def load_data(source: str, model: ModelSource | None = None) -> Dataset:
    """A data set by name or from a user's function; a pretrained model's own normalisation is used where it is known."""
    if source in DATASETS:
        dataset = DATASETS[source]()
    elif ".py:" in source:
        dataset = as_dataset(call_user_function(source, "data"), source)
    else:
        raise RecipeError(f"unknown data {source!r}; {nearest(source, DATASETS)}, or FILE.py:FUNCTION")
    if model is not None and model.normalisation is not None:
        dataset = replace(dataset, mean=model.normalisation[0], std=model.normalisation[1])
    return dataset


def as_dataset(given: Any, name: str = "given") -> Dataset:
    """Accept a Dataset, or a pair (train, test) of (images, labels) pairs or of iterables of such batches (data loaders).

    Float images are taken as they are: already normalised, not augmented. Raises: DataError saying what was expected.
    """
    if isinstance(given, Dataset):
        return given
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise DataError(f"{name}: data must be a kompakt.data.Dataset or a pair (train, test), got {type(given).__name__}")
    train, test = (_as_split(part, f"{name}[{i}]") for i, part in enumerate(given))
    channels = train.images.shape[1]
    return Dataset(name, train, test, (0.0,) * channels, (1.0,) * channels)


def _as_split(part: Any, name: str) -> Split:
    if isinstance(part, Split):
        return part
    batches = [part] if isinstance(part, tuple | list) and len(part) == 2 and hasattr(part[0], "shape") else list(part)
    try:
        images = np.concatenate([np.asarray(x) for x, _ in batches])
        labels = np.concatenate([np.asarray(y) for _, y in batches]).astype(np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: expected (images, labels) or batches of them: {error}") from None
    if images.ndim < 2 or len(images) != len(labels) or labels.ndim != 1 or not len(labels):
        raise DataError(f"{name}: expected images (N, ...) and labels (N,), got {images.shape} and {labels.shape}")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise DataError(f"{name}: images hold NaN or Inf")
    return Split(images.astype(np.float32) if images.dtype != np.uint8 else images, labels)


def call_user_function(source: str, what: str) -> Any:
    """Import FILE.py and call FUNCTION(). Raises: RecipeError naming the file or the nearest function."""
    path, _, function = source.rpartition(":")
    if not path.endswith(".py") or not function:
        raise RecipeError(f"{what} {source!r}: expected zoo:NAME or FILE.py:FUNCTION")
    if not Path(path).is_file():
        raise RecipeError(f"{what} {source!r}: no file {path}")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        known = [name for name in vars(module) if callable(getattr(module, name)) and not name.startswith("_")]
        raise RecipeError(f"{path}: no function {function!r}; {nearest(function, known)}")
    return getattr(module, function)()


def example_input(model: ModelSource, dataset: Dataset | None, shape: tuple[int, ...] | None) -> torch.Tensor:
    """Zeros (2, C, H, W) of the shape that was given, that the model names, or that the data have. Raises: RecipeError."""
    found = shape or model.input_shape or (dataset.train.images.shape[1:] if dataset is not None else None)
    if found is None:
        raise RecipeError("the input shape is unknown; give --input 1,C,H,W")
    return torch.zeros(2, *found)
