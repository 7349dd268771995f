"""CIFAR-10 from the project's difference-coded `.npz` files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ._locate import locate
from .types import Dataset, Split

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def cifar10() -> Dataset:
    """50,000 training and 10,000 test images (3, 32, 32), uint8.

    Raises: DataError where the files are not found.
    """
    folder = locate("data/cifar10")
    parts = [_decode(folder / f"train_{i}.npz") for i in range(1, 6)]
    train = Split(np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts]))
    test = _decode(folder / "test.npz")
    return Dataset("cifar10", train, test, MEAN, STD, scale=1 / 255, crop_padding=4, flip=True)


def _decode(path: Path) -> Split:
    """Undo the vertical and horizontal differences and the G, R-G, B-G colour transform (all modulo 256)."""
    with np.load(path, allow_pickle=False) as stored:
        green, red, blue = np.cumsum(np.cumsum(stored["residual"], 2, dtype=np.uint8), 3, dtype=np.uint8)
        labels = stored["labels"].astype(np.int64)
    return Split(np.stack([red + green, green, blue + green], axis=1), labels)
