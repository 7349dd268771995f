"""MNIST and Fashion-MNIST from their original idx files."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from .._core.errors import DataError
from ._locate import locate
from .types import Dataset, Split

UINT8 = 8  # type code of the idx format


def mnist() -> Dataset:
    """60,000 training and 10,000 test images of digits (1, 28, 28), uint8. Raises: DataError."""
    return _dataset("mnist", (0.1307,), (0.3081,))


def fashion_mnist() -> Dataset:
    """60,000 training and 10,000 test images of clothes (1, 28, 28), uint8. Raises: DataError."""
    return _dataset("fashion-mnist", (0.2860,), (0.3530,))


def _dataset(name: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Dataset:
    folder = locate(f"data/{name}")
    train, test = (
        Split(
            decode(folder / f"{part}-images-idx3-ubyte.gz")[:, None],
            decode(folder / f"{part}-labels-idx1-ubyte.gz").astype(np.int64),
        )
        for part in ("train", "t10k")
    )
    return Dataset(name, train, test, mean, std, scale=1 / 255, crop_padding=2)  # most digits have a margin of 4


def decode(path: Path) -> np.ndarray:
    """One idx file of bytes: 0, 0, type, number of axes, the axes as big-endian uint32, the elements.

    Returns: uint8. Raises: DataError if the file is not there or not what it should be.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
        zeros, kind, axes = struct.unpack(">HBB", raw[:4])
        shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"{path}: expected a gzipped idx file ({error}); copy it again") from error
    elements = np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).copy()  # writable, as torch wants it
    if zeros or kind != UINT8 or len(elements) != math.prod(shape):
        raise DataError(f"{path}: expected an idx file of {math.prod(shape)} bytes, got {len(elements)}")
    return elements.reshape(shape)
