"""Writes the golden files that are missing: PYTHONPATH=src:tests python tests/golden/make.py

A golden file is a promise: later versions read it and compute the same bits. Existing ones are never overwritten; a
new format version gets its own folder. Replacing one by hand is a breaking change and needs its entry in the changelog.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from kompakt.artifact import Program, load, save
from kompakt.engine.reference import run_all
from support.programs import random_input

sys.path.insert(0, str(Path(__file__).parent))
from programs import PROGRAMS

FOLDER = Path(__file__).parent / "v1"
METADATA = {"library": "kompakt", "note": 'golden\tfile\n"v1"', "rate": 0.1, "seed": 2**53}


def record(program: Program, x: np.ndarray) -> dict[str, Any]:
    """The input, the output, and a digest of every value between: names, types, shapes and bits."""
    values = run_all(program, x)
    return {
        "input": [image.reshape(-1).tolist() for image in x],
        "output": values[program.output].tolist(),
        "values": {name: describe(value) for name, value in values.items()},
    }


def describe(value: np.ndarray) -> dict[str, Any]:
    """Type, shape and the SHA-256 of the little-endian bytes."""
    data = value.astype(value.dtype.newbyteorder("<")).tobytes()
    return {"dtype": value.dtype.name, "shape": list(value.shape), "sha256": hashlib.sha256(data).hexdigest()}


def main() -> None:
    """Write `<name>.kpt` and `<name>.json` for every program that has none."""
    for seed, (name, make) in enumerate(PROGRAMS.items()):
        path = FOLDER / f"{name}.kpt"
        if path.exists():
            print(f"{path.name}: kept")
            continue
        save(path, make(), METADATA)
        program, _ = load(path)
        x = random_input(program, seed)
        found = record(program, x)
        if program.variants:
            found["variants"] = {bits: record(program.at(bits), x) for bits in program.widths[1:]}
        path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
