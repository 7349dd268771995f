"""CIFAR-10 from the project's difference-coded `.npz` files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from .._core.errors import DataError
from ._locate import locate
from .types import Dataset, Split

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def cifar10() -> Dataset:
    """50,000 training and 10,000 test images (3, 32, 32), uint8.

    Raises: DataError where the files are not found or damaged.
    """
    folder = locate("data/cifar10")
    parts = [decode(folder / f"train_{i}.npz") for i in range(1, 6)]
    train = Split(np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts]))
    test = decode(folder / "test.npz")
    return Dataset("cifar10", train, test, MEAN, STD, scale=1 / 255, crop_padding=4, flip=True)


def decode(path: Path) -> Split:
    """One file: undo the vertical and horizontal differences and the G, R-G, B-G colour transform (all modulo 256).

    Raises: DataError if the file is not there or not what it should be.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            residual, labels = stored["residual"], stored["labels"].astype(np.int64)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected `residual` and `labels` in a .npz file ({error}); copy it again") from error
    if residual.dtype != np.uint8 or residual.shape != (3, len(labels), 32, 32):
        raise DataError(f"{path}: residual must be uint8 (3, {len(labels)}, 32, 32), got {residual.shape}")
    green, red, blue = np.cumsum(np.cumsum(residual, 2, dtype=np.uint8), 3, dtype=np.uint8)
    return Split(np.stack([red + green, green, blue + green], axis=1), labels)
