"""What a data set is to the library: two splits of arrays, a normalisation, an augmentation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W) uint8 or float32, and labels (N,) int64."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, count: int) -> Split:
        """The first `count` examples."""
        return Split(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Dataset:
    """A named data set: input of the network = (images * scale - mean) / std per channel.

    Attributes:
        crop_padding: random-crop padding in pixels used for training (0 = none).
        flip: whether training images are mirrored at random.
    """

    name: str
    train: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1.0
    crop_padding: int = 0
    flip: bool = False

    def smallest(self, train: int, test: int) -> Dataset:
        """The same data set with only the first images of each split: for a dry run of every phase."""
        return replace(self, train=self.train.head(train), test=self.test.head(test))

    def normalise(self, images: np.ndarray) -> np.ndarray:
        """Network input, float32 (N, C, H, W)."""
        mean = np.asarray(self.mean, np.float32).reshape(1, -1, 1, 1)
        std = np.asarray(self.std, np.float32).reshape(1, -1, 1, 1)
        return (images.astype(np.float32) * np.float32(self.scale) - mean) / std

    def digest(self) -> str:
        """SHA-256 over both splits' raw bytes: names the data in every artefact."""
        sha = hashlib.sha256()
        for split in (self.train, self.test):
            sha.update(np.ascontiguousarray(split.images).tobytes())
            sha.update(np.ascontiguousarray(split.labels).tobytes())
        return sha.hexdigest()
