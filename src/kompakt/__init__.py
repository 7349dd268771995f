"""Kompakt: compress trained PyTorch networks into small files that really run.

    import kompakt as kp
    small = kp.compress(model, "w2a2-lq", data=(train, test))
    small.save("model.kpt")
    y = kp.load("model.kpt", threads=2)(x)      # no torch needed

Names are imported on first use; `load`, `Engine` and the errors never import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core.errors import ArtifactError as ArtifactError
    from ._core.errors import DataError as DataError
    from ._core.errors import GraphError as GraphError
    from ._core.errors import InputError as InputError
    from ._core.errors import KompaktError as KompaktError
    from ._core.errors import QuantizerError as QuantizerError
    from ._core.errors import RecipeError as RecipeError
    from ._core.errors import StorageError as StorageError
    from ._core.errors import TrainingError as TrainingError
    from .engine import Engine as Engine
    from .engine import load as load
    from .strategy import Compressed as Compressed
    from .strategy import Job as Job
    from .strategy import Recipe as Recipe
    from .strategy import compress as compress  # type: ignore[no-redef]  # the module of that name is private
    from .strategy import load_recipe as load_recipe
    from .strategy import prepare as prepare

_ERRORS = ("ArtifactError", "DataError", "GraphError", "InputError", "KompaktError", "QuantizerError", "RecipeError",
           "StorageError", "TrainingError")  # fmt: skip
_HOME = {
    **dict.fromkeys(_ERRORS, "._core.errors"),
    **dict.fromkeys(("Engine", "load"), ".engine"),
    **dict.fromkeys(("Compressed", "Job", "Recipe", "compress", "load_recipe", "prepare"), ".strategy"),
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("kompakt")
    if name not in _HOME:
        raise AttributeError(f"module 'kompakt' has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME, "__version__"])
