"""From images as a data set stores them to the input that a pretrained network wants, as its card says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._core.errors import DataError
from .types import Dataset, Split

CROP = (7, 8)  # of the stored side; the usual evaluation of ImageNet networks: 224 of 256
GREY_LEVELS = 255
SIGNED_OFFSET = 128  # int8 codes of pixels are the pixels less this


@dataclass(frozen=True)
class Preparation:
    """What happens to an image before it enters a network: fitted to its size, then (image * scale - mean) / std.

    Attributes:
        mean, std, scale: of pixels; None: the data set's own.
        size: height and width of the network's input; None leaves images as they are.
        is_bgr: whether the network wants blue first.
        first_class: the output that stands for class 0.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float | None = None
    size: tuple[int, int] | None = None
    is_bgr: bool = False
    first_class: int = 0

    def apply(self, dataset: Dataset) -> Dataset:
        """The data set as the network wants it. Raises: DataError where images cannot be fitted."""
        given, mean, std = dataset.train.images, self.mean or dataset.mean, self.std or dataset.std
        if given.dtype != np.uint8 or given.ndim != 4:
            return replace(dataset, mean=mean, std=std)
        return replace(
            dataset, train=self._split(dataset.train), test=self._split(dataset.test), mean=mean, std=std,
            scale=dataset.scale if self.scale is None else self.scale,
        )  # fmt: skip

    def _split(self, split: Split) -> Split:
        images = split.images if self.size is None else fitted(split.images, self.size)
        labels = np.where(split.labels < 0, split.labels, split.labels + self.first_class)
        return Split(np.ascontiguousarray(images[:, ::-1]) if self.is_bgr else images, labels)


def preparation(card: Mapping[str, Any]) -> Preparation:
    """What a card says about the input of its network.

    `input.shape`, `mean` and `std` count; the words "/ 255" and "BGR" in `input.scaling`, "1001 outputs" in
    `input.classes`; and `input_quant` of an integer network, whose codes of pixels are the pixels themselves.

    Raises: DataError for a card that says nothing of an input.
    """
    about, quant = card.get("input"), card.get("architecture", {}).get("input_quant")
    if not isinstance(about, dict):
        raise DataError(f"card {card.get('name', '')}: expected a table `input`, got {type(about).__name__}")
    size, words = about.get("shape", [])[1:], about.get("scaling")
    is_raw = words is not None and "mean" not in about
    mean, std = ([0.0], [1.0]) if is_raw else (about.get("mean", []), about.get("std", []))
    if quant is not None:
        zero = quant["zero_point"] + (SIGNED_OFFSET if quant["dtype"] == "int8" else 0)
        mean, std = [float(zero)], [1 / quant["scale"]]
    return Preparation(
        mean=tuple(mean) or None, std=tuple(std) or None,
        scale=None if words is None else 1 / GREY_LEVELS if "/ 255" in words else 1.0,
        size=(size[0], size[1]) if len(size) == 2 else None, is_bgr="BGR" in (words or ""),
        first_class=1 if str(about.get("classes", "")).startswith("1001 ") else 0,
    )  # fmt: skip


def fitted(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images uint8 (N, C, H, W) of another size: smaller ones get a frame of zeros, of larger ones the centre counts.

    The centre has 7/8 of the stored side, or the wanted size if that is more, and is resized (bilinear) where it must.

    Raises: DataError where one side grows and the other shrinks, or Pillow, which resizes, is not installed.
    """
    stored = images.shape[2:]
    if stored == size:
        return images
    if all(n <= m for n, m in zip(stored, size, strict=True)):
        before = [(m - n) // 2 for n, m in zip(stored, size, strict=True)]
        frame = [(b, m - n - b) for b, n, m in zip(before, stored, size, strict=True)]
        return np.pad(images, ((0, 0), (0, 0), *frame))
    if any(n < m for n, m in zip(stored, size, strict=True)):
        raise DataError(f"images of {stored[0]}x{stored[1]} cannot be fitted to {size[0]}x{size[1]}")
    kept = [max(m, n * CROP[0] // CROP[1]) for n, m in zip(stored, size, strict=True)]
    top, left = [(n - k) // 2 for n, k in zip(stored, kept, strict=True)]
    centre = images[:, :, top : top + kept[0], left : left + kept[1]]
    return np.ascontiguousarray(centre) if centre.shape[2:] == size else _resized(centre, size)


def _resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("resizing images needs Pillow: pip install 'kompakt[data]'") from error
    result = np.empty((*images.shape[:2], *size), np.uint8)
    for image, target in zip(images, result, strict=True):
        for plane, out in zip(image, target, strict=True):
            out[:] = np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))
    return result
