"""Splits and data sets: shapes and types are checked when they are made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kompakt._core.errors import DataError
from kompakt.data import Dataset, Split, digits


def split(*shape: int, dtype: type = np.uint8) -> Split:
    return Split(np.ones(shape, dtype), np.zeros(shape[0], np.int64))


def test_digits_are_split_without_overlap():
    data = digits()
    assert (len(data.train), len(data.test)) == (1347, 450)
    assert data.train.images.shape[1:] == (1, 8, 8)
    assert data.train.images.max() == 16
    assert set(data.train.labels) == set(data.test.labels) == set(range(10))
    x = data.normalise(data.train.images)
    assert x.dtype == np.float32
    assert abs(float(x.mean())) < 0.01
    assert abs(float(x.std()) - 1) < 0.01


def test_normalisation_is_per_channel():
    data = Dataset("d", split(2, 3, 4, 4), split(2, 3, 4, 4), (0.1, 0.2, 0.3), (1.0, 2.0, 4.0), scale=0.5)
    x = data.normalise(data.train.images)
    np.testing.assert_allclose(x[0, :, 0, 0], [(0.5 - 0.1) / 1, (0.5 - 0.2) / 2, (0.5 - 0.3) / 4], rtol=1e-6)


def test_features_are_normalised_per_feature():
    data = Dataset("d", split(5, 2, dtype=np.float32), split(3, 2, dtype=np.float32), (1.0, 0.0), (1.0, 4.0))
    assert data.normalise(data.train.images).tolist() == [[0.0, 0.25]] * 5


def test_heads_and_smallest():
    data = Dataset("d", split(9, 1, 4, 4), split(7, 1, 4, 4), (0.0,), (1.0,))
    assert len(data.train.head(4)) == 4
    assert len(data.train.head(100)) == 9
    small = data.smallest(3, 2)
    assert (len(small.train), len(small.test), small.name) == (3, 2, "d")


@pytest.mark.parametrize(("count", "seed", "expected"), [
    (3, 0, [0, 1, 2]), (3, 1, [3, 4, 5]), (3, 2, [6, 0, 1]), (7, 5, range(7)), (9, 1, range(7)),
])  # fmt: skip
def test_every_seed_calibrates_with_the_next_images(count, seed, expected):
    images = np.arange(7, dtype=np.float32)[:, None]
    data = Dataset("seven", Split(images, np.arange(7)), Split(images, np.arange(7)), (0.0,), (1.0,))
    assert data.calibration(count, seed).ravel().tolist() == list(expected)


def test_the_digest_names_the_content():
    data = Dataset("d", split(9, 1, 4, 4), split(7, 1, 4, 4), (0.0,), (1.0,))
    assert replace(data, name="other", mean=(0.5,)).digest() == data.digest()
    images = data.train.images.copy()
    images[3, 0, 1, 1] = 2
    assert replace(data, train=Split(images, data.train.labels)).digest() != data.digest()


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (
            np.zeros((2, 4, 4), np.uint8),
            np.zeros(2, np.int64),
            r"\(N, C, H, W\) or \(N, features\), got uint8 \(2, 4, 4\)",
        ),
        (np.zeros((2, 1, 4, 4), np.float64), np.zeros(2, np.int64), "got float64"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, np.int64), r"one for each of 2 images, got int64 \(3,\)"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.int32), "labels must be int64"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros((2, 10), np.int64), r"got int64 \(2, 10\)"),
    ],
)
def test_splits_of_other_shapes_and_types(images, labels, words):
    with pytest.raises(DataError, match=words):
        Split(images, labels)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": (0.1, 0.2)}, "must have 1 or 3 entries"),
        ({"std": (1.0, 0.0, 1.0)}, "std above 0"),
        ({"test": split(2, 1, 4, 4)}, r"one shape, got \(3, 4, 4\) and \(1, 4, 4\)"),
        ({"train": split(2, 3), "test": split(2, 3), "flip": True}, "neither cropped nor mirrored"),
    ],
)
def test_data_sets_that_do_not_fit_together(changes, words):
    data = Dataset("d", split(2, 3, 4, 4), split(2, 3, 4, 4), (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(DataError, match=words):
        replace(data, **changes)
