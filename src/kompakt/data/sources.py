"""Data named in a recipe or on the command line: a data set's name, or `FILE.py:FUNCTION`. NumPy only."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from .._core.errors import DataError, KompaktError, RecipeError, nearest
from .characters import essays
from .cifar10 import cifar10
from .digits import digits
from .imagenet import imagenet_sample
from .mnist import fashion_mnist, mnist
from .preparation import Preparation
from .types import NO_LABEL, Dataset, Split
from .words import ptb

Kind = TypeVar("Kind")
DATASETS: dict[str, Callable[[], Dataset]] = {
    "cifar10": cifar10,
    "digits": digits,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "imagenet-sample": imagenet_sample,
    "essays": essays,
    "ptb": ptb,
}


def load_dataset(source: str, preparation: Preparation | None = None) -> Dataset:
    """A data set by name or from a user's function.

    Args:
        preparation: what the network was trained with; replaces the data set's own normalisation.
    Raises: RecipeError for an unknown name, DataError where the data are missing or not what they should be.
    """
    if source in DATASETS:
        dataset = DATASETS[source]()
    elif ".py:" in source:
        dataset = as_dataset(call_user_function(source, "data"), source)
    else:
        raise RecipeError(f"unknown data {source!r}; {nearest(source, DATASETS)}; or give FILE.py:FUNCTION")
    return dataset if preparation is None else preparation.apply(dataset)


def as_dataset(given: Any, name: str = "given") -> Dataset:
    """Accept a Dataset, samples alone, or a pair (train, test).

    Samples are one array or tensor (N, ...); they have no labels, and do for recipes without training. Each part of a
    pair is (images, labels) or an iterable of such batches (a data loader). Float images are taken as they are: already
    normalised, not augmented.

    Raises: DataError saying what was expected.
    """
    if isinstance(given, Dataset):
        return given
    if hasattr(given, "shape"):
        samples = np.asarray(given)
        labels = np.full(samples.shape[:1], NO_LABEL, np.int64)
        train = test = _as_split((samples, labels), name)
    elif isinstance(given, tuple | list) and len(given) == 2:
        train, test = (_as_split(part, f"{name}[{i}]") for i, part in enumerate(given))
    else:
        raise DataError(
            f"{name}: data must be a kompakt.data.Dataset, a pair (train, test), or one array of samples (N, ...), "
            f"got {type(given).__name__}"
        )
    channels = train.images.shape[1]
    return Dataset(name, train, test, (0.0,) * channels, (1.0,) * channels)


def _as_split(part: Any, name: str) -> Split:
    if isinstance(part, Split):
        return part
    batches = [part] if isinstance(part, tuple | list) and len(part) == 2 and hasattr(part[0], "shape") else part
    try:
        pairs = [(np.asarray(x), np.asarray(y)) for x, y in batches]
        images = np.concatenate([x for x, _ in pairs])
        labels = np.concatenate([y for _, y in pairs]).astype(np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: expected (images, labels) or batches of them: {error}") from None
    if images.ndim < 2 or len(images) != len(labels) or labels.ndim != 1 or not len(labels):
        raise DataError(f"{name}: expected images (N, ...) and labels (N,), got {images.shape} and {labels.shape}")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise DataError(f"{name}: images hold NaN or Inf")
    return Split(images.astype(np.float32) if images.dtype != np.uint8 else images, labels)


def call_user_function(source: str, what: str) -> Any:
    """Import FILE.py and call FUNCTION(); FILE.py may import modules that lie beside it.

    Args:
        source: `FILE.py:FUNCTION`.
        what: "model" or "data", for messages.
    Raises: RecipeError naming the file, the nearest function, or the line of the user's file that failed.
    """
    return _from_user_file(source, what, lambda found: found(), callable)


def user_object(source: str, what: str, kind: type[Kind]) -> Kind:
    """The object NAME of type `kind` in the user's file, given as `FILE.py:NAME`. Raises: as `call_user_function`."""
    found: Kind = _from_user_file(source, what, lambda found: found, lambda found: isinstance(found, kind))
    return found


def _from_user_file(source: str, what: str, use: Callable[[Any], Any], is_fit: Callable[[Any], bool]) -> Any:
    path, _, function = source.rpartition(":")
    if not path.endswith(".py") or not function:
        raise RecipeError(
            f"{what} {source!r}: expected {'zoo:NAME' if what == 'model' else 'a name'} or FILE.py:FUNCTION"
        )
    if not Path(path).is_file():
        raise RecipeError(f"{what} {source!r}: no file {path}")
    folder = str(Path(path).resolve().parent)
    sys.path.insert(0, folder)
    try:
        module = _import_file(Path(path))
        found = getattr(module, function, None)
        if not is_fit(found):
            known = [name for name, value in vars(module).items() if is_fit(value) and not name.startswith("_")]
            kind = "method" if what == "method" else "function"
            raise RecipeError(f"{path}: no {kind} {function!r}; {nearest(function, known)}")
        return use(found)
    except KompaktError:
        raise
    except Exception as error:
        raise RecipeError(f"{what} {source!r}: {_last_line_in(path, error)}{type(error).__name__}: {error}") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _import_file(path: Path) -> ModuleType:
    # Registered, because dataclasses and pickling look a class's module up by name; under a name that hides nothing.
    name = f"kompakt_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a .py file always has a loader"
    assert spec.loader is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _last_line_in(path: str, error: Exception) -> str:
    """`line 12: ` where the innermost frame inside the user's file is line 12; empty if none is."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == Path(path)]
    return f"line {frames[-1].lineno}: " if frames else ""
