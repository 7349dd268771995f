"""What `kompakt recipes` says to expect: the built-in recipes on one network, taken from the records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...strategy import builtin_recipes, load_recipe
from ._records import AccuracyRecord

MEASURED = "src/kompakt/strategy/recipes/measured.json"
NETWORK = "cifar10-resnet20"


def expected_of_recipes(records: Sequence[AccuracyRecord]) -> str:
    """JSON text: recipe -> network, accuracy of float network and engine in percent, file size as a share.

    A record belongs to a recipe without training by its name, as `kompakt compress zoo:NETWORK --recipe NAME` gives it;
    to one with training by method and bits, since the schedule of the recipe files differs. The best record counts.
    """
    found: dict[str, Any] = {}
    for name in builtin_recipes():
        fitting = [record for record in records if record.model == f"zoo:{NETWORK}" and _belongs(record, name)]
        best = max(fitting, key=lambda record: record.engine_top1[0], default=None)
        if best is not None:
            found[name] = {
                "network": NETWORK, "float_top1": best.float_top1, "engine_top1": best.engine_top1[0],
                "times_smaller": round(best.float_bytes / best.file_bytes, 1),
            }  # fmt: skip
    return json.dumps(found, indent=1) + "\n"


def _belongs(record: AccuracyRecord, name: str) -> bool:
    recipe = load_recipe(name)
    if recipe.model.source != "given":
        return False
    if recipe.train.epochs == 0:
        return record.recipe in (f"{NETWORK}-{name}", f"resnet20-{name}")
    stage = recipe.stage[0]
    bits = {
        "weights": stage.weight_bits, "activations": stage.activation_bits, "first_last": stage.first_last,
        "residual": stage.residual_bits,
    }  # fmt: skip
    # Where bit-widths are learned, the recipe says where they start and the record what came out.
    is_alike = all(record.bits.get(part) in (width, "mixed") for part, width in bits.items())
    return record.protocol != "ptq" and record.system == stage.method and is_alike


def measured_path(root: Path) -> Path | None:
    """Where the text lies in a checkout; None where `root` is not one of the library."""
    path = root / MEASURED
    return path if path.parent.is_dir() else None
