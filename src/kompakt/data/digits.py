"""The 8x8 handwritten digits that come inside scikit-learn: real data with nothing to download."""

from __future__ import annotations

import numpy as np

from .._core.errors import DataError
from .types import Dataset, Split

TEST_EVERY = 4  # every fourth image is a test image: 1,347 for training, 450 for testing


def digits() -> Dataset:
    """1,797 grey images (1, 8, 8), values 0..16 as uint8.

    Raises: DataError where scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("digits come with scikit-learn, which is not installed: pip install 'kompakt[demo]'") from error
    raw = load_digits()
    images = raw.images.astype(np.uint8)[:, None]
    labels = raw.target.astype(np.int64)
    test = np.arange(len(labels)) % TEST_EVERY == 0
    return Dataset(
        "digits", Split(images[~test], labels[~test]), Split(images[test], labels[test]), (0.3053,), (0.3763,),
        scale=1 / 16, crop_padding=1,
    )  # fmt: skip
