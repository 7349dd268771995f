"""Floor 3: running programs. `reference` is the slow truth in NumPy; `Engine` needs the native module.

Names are imported on first use: the reference works where the native module is missing, and the engine starts without
the reference and the Python reader, which would double its start and its memory.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Engine as Engine
    from .engine import load as load
    from .reference import run as run_reference
    from .reference import run_all as run_all_reference

_HOME = {
    "Engine": ("engine", "Engine"),
    "load": ("engine", "load"),
    "run_all_reference": ("reference", "run_all"),
    "run_reference": ("reference", "run"),
}

__all__ = ["Engine", "load", "run_all_reference", "run_reference"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(f".{module}", __name__), attribute)
