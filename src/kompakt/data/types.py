"""What a data set is to the library: two splits of arrays, a normalisation, an augmentation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from .._core.errors import DataError

NO_LABEL = -1


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W) or features (N, F), uint8 or float32, and labels (N,) int64, all NO_LABEL if there are none.

    Sequences, (N, C, T, 1) or token numbers (N, T), may have one label a step, (N, T), NO_LABEL where a step is not
    judged.

    Raises: DataError for other shapes or types.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim not in (2, 4) or images.dtype not in (np.uint8, np.float32):
            raise DataError(
                f"images must be uint8 or float32 (N, C, H, W) or (N, features), got {images.dtype} {images.shape}"
            )
        steps = images.shape[2:3] if images.ndim == 4 else images.shape[1:]
        is_by_step = labels.ndim == 2 and labels.shape[1:] == steps
        if len(labels) != len(images) or (labels.ndim != 1 and not is_by_step) or labels.dtype != np.int64:
            raise DataError(
                f"labels must be int64, one for each of {len(images)} images, got {labels.dtype} {labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_labelled(self) -> bool:
        """Whether every image has a class, every sequence one at least."""
        has_label = self.labels != NO_LABEL
        return bool(has_label.reshape(len(self), -1).any(1).all())

    def head(self, count: int) -> Split:
        """The first `count` examples."""
        return self.part(0, count)

    def part(self, first: int, last: int) -> Split:
        """The examples from `first` on, before `last`."""
        return Split(self.images[first:last], self.labels[first:last])


@dataclass(frozen=True)
class Dataset:
    """A named data set: input of the network = (images * scale - mean) / std per channel.

    Attributes:
        scale: factor of the raw values.
        crop_padding: random-crop padding in pixels used for training (0 = none).
        flip: whether training images are mirrored at random.
    Raises: DataError where mean or std do not fit the images, or features are to be cropped or mirrored.
    """

    name: str
    train: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1.0
    crop_padding: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        channels = self.train.images.shape[1]
        if {len(self.mean), len(self.std)} - {1, channels} or min(self.std) <= 0:
            raise DataError(
                f"{self.name}: mean and std must have 1 or {channels} entries, std above 0, got {self.mean}, {self.std}"
            )
        if self.test.images.shape[1:] != self.train.images.shape[1:]:
            raise DataError(
                f"{self.name}: training and test images must have one shape, got {self.train.images.shape[1:]} and "
                f"{self.test.images.shape[1:]}"
            )
        if self.train.images.ndim == 2 and (self.crop_padding or self.flip):
            raise DataError(f"{self.name}: features (N, F) can be neither cropped nor mirrored")

    def smallest(self, train: int, test: int) -> Dataset:
        """The same data set with only the first images of each split: for a dry run of every phase."""
        return replace(self, train=self.train.head(train), test=self.test.head(test))

    def calibration(self, count: int, seed: int = 0) -> np.ndarray:
        """Network input from `count` training images, all if there are no more: the next `count` for every seed.

        Seed 0 takes the first ones; behind the last image it goes on with the first.
        """
        available = len(self.train)
        start = seed * count % max(available, 1) if count < available else 0
        chosen = np.arange(start, start + min(count, available)) % max(available, 1)
        return self.normalise(self.train.images[chosen])

    def normalise(self, images: np.ndarray) -> np.ndarray:
        """Network input, float32, shape of `images`."""
        shape = (1, -1, *[1] * (images.ndim - 2))
        mean = np.asarray(self.mean, np.float32).reshape(shape)
        std = np.asarray(self.std, np.float32).reshape(shape)
        return (images.astype(np.float32) * np.float32(self.scale) - mean) / std

    def digest(self) -> str:
        """SHA-256 over both splits' raw bytes: names the data in every artefact."""
        sha = hashlib.sha256()
        for split in (self.train, self.test):
            sha.update(np.ascontiguousarray(split.images).tobytes())
            sha.update(np.ascontiguousarray(split.labels).tobytes())
        return sha.hexdigest()
