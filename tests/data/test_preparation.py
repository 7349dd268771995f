"""Images as a pretrained network wants them."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt._core.errors import DataError
from kompakt.data import Dataset, Preparation, Split, preparation
from kompakt.data.preparation import fitted


def numbered(*shape: int) -> np.ndarray:
    return (np.arange(int(np.prod(shape))) % 251).astype(np.uint8).reshape(shape)


def data(images: np.ndarray) -> Dataset:
    split = Split(images, np.arange(len(images), dtype=np.int64))
    return Dataset("d", split, split, (0.5,), (0.25,), scale=1 / 255)


def test_smaller_images_get_a_frame_of_zeros() -> None:
    images = numbered(2, 1, 28, 28)
    found = fitted(images, (32, 32))
    assert np.array_equal(found[:, :, 2:30, 2:30], images)
    assert found.sum() == images.sum()


@pytest.mark.parametrize(("side", "first"), [(224, 16), (227, 14), (256, 0)])
def test_the_centre_of_larger_images_counts(side: int, first: int) -> None:
    images = numbered(1, 3, 256, 256)
    assert np.array_equal(fitted(images, (side, side)), images[:, :, first : first + side, first : first + side])


def test_much_smaller_sizes_are_resized_from_seven_eighths() -> None:
    pytest.importorskip("PIL", reason="resizing needs Pillow")
    images = np.zeros((1, 1, 64, 64), np.uint8)
    images[:, :, 4:60, 4:60] = 200  # all of the centre of 56x56
    assert (fitted(images, (14, 14)) == 200).all()


def test_sides_that_grow_and_shrink_are_refused() -> None:
    with pytest.raises(DataError, match="images of 28x28 cannot be fitted to 32x16"):
        fitted(numbered(1, 1, 28, 28), (32, 16))


def test_channels_turn_and_classes_move() -> None:
    images = numbered(3, 3, 4, 4)
    found = Preparation((1.0,), (2.0,), 1.0, (4, 4), is_bgr=True, first_class=1).apply(data(images))
    assert np.array_equal(found.test.images, images[:, ::-1])
    assert found.test.labels.tolist() == [1, 2, 3]
    assert (found.scale, found.mean, found.std) == (1.0, (1.0,), (2.0,))


def test_features_and_floats_keep_their_values() -> None:
    features = data(np.ones((2, 5), np.float32))
    found = Preparation((1.0,), (2.0,), 3.0, (4, 4)).apply(features)
    assert found.test is features.test
    assert (found.scale, found.mean) == (features.scale, (1.0,))


CARDS = {
    "normalised": ({"shape": [3, 32, 32], "scaling": "RGB / 255, then", "mean": [0.1], "std": [0.2]}, None,
                   Preparation((0.1,), (0.2,), 1 / 255, (32, 32))),
    "raw": ({"shape": [3, 32, 32], "scaling": "0..255 as they are"}, None, Preparation((0.0,), (1.0,), 1.0, (32, 32))),
    "as the data": ({"shape": [3, 32, 32]}, None, Preparation(size=(32, 32))),
    "a text": ({}, None, Preparation()),
    "uint8 codes": ({"shape": [3, 8, 8], "scaling": "u", "classes": "1001 outputs"},
                    {"dtype": "uint8", "scale": 0.5, "zero_point": 128},
                    Preparation((128.0,), (2.0,), 1.0, (8, 8), first_class=1)),
    "int8 codes": ({"shape": [3, 8, 8], "scaling": "u"}, {"dtype": "int8", "scale": 1.0, "zero_point": -128},
                   Preparation((0.0,), (1.0,), 1.0, (8, 8))),
}  # fmt: skip


@pytest.mark.parametrize("name", CARDS)
def test_what_cards_say(name: str) -> None:
    about, quant, expected = CARDS[name]
    assert preparation({"input": about, "architecture": {"input_quant": quant} if quant else {}}) == expected


def test_a_card_without_input_is_refused() -> None:
    with pytest.raises(DataError, match="card mine: expected a table `input`, got NoneType"):
        preparation({"name": "mine"})
