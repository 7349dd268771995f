"""Where data and pretrained models lie: `KOMPAKT_DATA`, else `../shared` beside the working folder or the checkout."""

from __future__ import annotations

import os
from pathlib import Path

from .._core.errors import DataError


def locate(relative: str) -> Path:
    """Path of `relative` ("data/cifar10", "models/NAME") in the first root that has it.

    Raises: DataError naming every place that was searched.
    """
    roots = _roots()
    for root in roots:
        if (root / relative).exists():
            return root / relative
    searched = ", ".join(str(root) for root in roots)
    raise DataError(f"{relative}: not found (searched {searched}); set KOMPAKT_DATA to the folder that holds it")


def _roots() -> list[Path]:
    if os.environ.get("KOMPAKT_DATA"):
        return [Path(os.environ["KOMPAKT_DATA"])]
    checkout = Path(__file__).resolve().parents[3]
    return list(dict.fromkeys([Path.cwd().resolve().parent / "shared", checkout.parent / "shared"]))
