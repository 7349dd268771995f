"""Floor 3: running programs. `reference` is the slow truth in NumPy; `Engine` needs the native module.

`Engine` and `load` are imported on first use, so that the reference works where the native module is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .reference import run as run_reference
from .reference import run_all as run_all_reference

if TYPE_CHECKING:
    from .engine import Engine as Engine
    from .engine import load as load

__all__ = ["Engine", "load", "run_all_reference", "run_reference"]


def __getattr__(name: str) -> Any:
    if name in ("Engine", "load"):
        from . import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
