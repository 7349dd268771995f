"""Batches depend on (seed, epoch, step) alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kompakt.data import Dataset, Split
from kompakt.train.batches import Batches

CPU = torch.device("cpu")


def dataset(count: int = 50, **options) -> Dataset:
    """Image i is i everywhere except for its two corners, so that crops and mirrors can be told."""
    images = np.repeat(np.arange(count, dtype=np.uint8), 2 * 4 * 5).reshape(count, 2, 4, 5).copy()
    images[:, :, 0, 0] = 200
    split = Split(images, np.arange(count) % 7)
    return Dataset("numbers", split, split, (0.0, 0.0), (1.0, 1.0), **options)


def epoch(data: Dataset, number: int = 0, seed: int = 0, first: int = 0, size: int = 8):
    return list(Batches(data, size, seed, CPU).epoch(number, first))


def equal(a, b) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x, y) and torch.equal(k, m) for (x, k), (y, m) in zip(a, b, strict=True)
    )


AUGMENTED = {"crop_padding": 1, "flip": True}


def test_the_same_numbers_give_the_same_batches_whatever_was_drawn_before():
    expected = epoch(dataset(**AUGMENTED), 3, 5)
    torch.manual_seed(1)
    torch.rand(100)
    assert equal(epoch(dataset(**AUGMENTED), 3, 5), expected)


@pytest.mark.parametrize("first", [1, 3, 6])
def test_a_batch_does_not_depend_on_those_before(first):
    assert equal(epoch(dataset(**AUGMENTED), 2, first=first), epoch(dataset(**AUGMENTED), 2)[first:])


@pytest.mark.parametrize("other", [{"number": 1}, {"seed": 1}])
def test_other_epochs_and_seeds_give_other_batches(other):
    assert not equal(epoch(dataset(**AUGMENTED), **other), epoch(dataset(**AUGMENTED)))


def test_an_epoch_shows_every_image_at_most_once_and_leaves_out_the_rest():
    batches = epoch(dataset(50))
    assert [len(labels) for _, labels in batches] == [8] * 6
    seen = torch.cat([x[:, 0, 3, 4] for x, _ in batches])
    assert len(seen.unique()) == 48
    assert torch.equal(torch.cat([labels for _, labels in batches]), seen.long() % 7)


def test_a_batch_larger_than_the_data_is_all_of_it():
    batches = epoch(dataset(5), size=64)
    assert [len(labels) for _, labels in batches] == [5]


def test_images_are_normalised_as_for_evaluation():
    data = replace(dataset(), mean=(0.2, 0.4), std=(0.5, 2.0), scale=1 / 255)
    x, _ = epoch(data)[0]
    number = (x[:, 0, 3, 4] * 0.5 + 0.2) * 255
    expected = data.normalise(data.train.images[number.round().long().numpy()])
    np.testing.assert_allclose(x.numpy(), expected, atol=1e-6)
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_crops_move_by_at_most_the_padding_and_mirrors_are_mirrors():
    corners = set()
    for number in range(20):
        for x, _ in epoch(dataset(crop_padding=1, flip=True), number):
            assert x.shape[1:] == (2, 4, 5)
            corners |= {(int(r), int(c)) for _, r, c in (x[:, 0] == 200).nonzero()}
    assert corners <= {(r, c) for r in (0, 1) for c in (0, 1, 3, 4)}
    assert len(corners) == 8


def test_half_of_the_images_are_mirrored():
    mirrored = torch.cat([x[:, 0, 0, 4] == 200 for n in range(20) for x, _ in epoch(dataset(flip=True), n)])
    assert 0.4 < mirrored.float().mean() < 0.6


@pytest.mark.parametrize("seed", [0, 10**9, 2**40])
def test_large_seeds(seed):
    assert equal(epoch(dataset(), 4, seed), epoch(dataset(), 4, seed))


def test_features_need_no_channels():
    images = np.arange(40, dtype=np.float32).reshape(10, 4)
    split = Split(images, np.zeros(10, np.int64))
    data = Dataset("features", split, split, (1.0,) * 4, (2.0,) * 4)
    x, _ = next(Batches(data, 10, 0, CPU).epoch(0))
    assert torch.equal(x.sort(0).values, torch.from_numpy((images - 1) / 2))
