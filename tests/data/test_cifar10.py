"""CIFAR-10: the difference coding undone, against known hashes; damaged files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from kompakt._core.errors import DataError
from kompakt.data import cifar10, locate
from kompakt.data.cifar10 import decode

RAW_SHA256 = {  # pixels of one batch as raw bytes, channel-major
    "train_1": "ab14ff7b2ce517d27f093af58e8e0992a627eb8620d74671a7a201f2bc74b04b",
    "train_2": "da219edb942657a8d33e9abe526b16ed97c398ef80bee4082d711cfd8cb72a37",
    "train_3": "b2f897be10234bf6f6046956f2a4da2d10911bd8974642107ba1930aef2e3a7a",
    "train_4": "1aacee2c46c904ecefbcaf2239780e624e4749c48ced3c8a03d6c235b2ce8430",
    "train_5": "3af344539d9ef0f9b0f51ce8b7b2c9b6f3728af0bec4594a193c4f011d088888",
    "test": "ed893735ff82c0178f2cd31343a1d5ab993eeae4f3b919d9c1436789336729f1",
}


def encode(images: np.ndarray) -> np.ndarray:
    """The coding of the files: planes G, R-G, B-G, differenced along both axes, modulo 256."""
    red, green, blue = images.transpose(1, 0, 2, 3)
    planes = np.stack([green, red - green, blue - green])
    for axis in (2, 3):
        first = np.take(planes, [0], axis)
        planes = np.concatenate([first, np.diff(planes, axis=axis)], axis)
    return planes


@pytest.fixture
def folder() -> Path:
    try:
        return locate("data/cifar10")
    except DataError as error:
        pytest.skip(str(error))


def test_decoding_undoes_the_coding(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    labels = rng.integers(0, 10, 5, dtype=np.uint8)
    np.savez(tmp_path / "x.npz", residual=encode(images), labels=labels)
    split = decode(tmp_path / "x.npz")
    assert np.array_equal(split.images, images)
    assert np.array_equal(split.labels, labels)
    assert split.labels.dtype == np.int64


def test_the_test_batch_has_its_known_bytes(folder):
    split = decode(folder / "test.npz")
    assert hashlib.sha256(split.images.tobytes()).hexdigest() == RAW_SHA256["test"]
    assert np.array_equal(np.bincount(split.labels), np.full(10, 1000))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RAW_SHA256 if name != "test"])
def test_training_batches_have_their_known_bytes(folder, name):
    assert hashlib.sha256(decode(folder / f"{name}.npz").images.tobytes()).hexdigest() == RAW_SHA256[name]


@pytest.mark.slow
def test_the_data_set(folder):
    data = cifar10()
    assert data.train.images.shape == (50_000, 3, 32, 32)
    assert data.test.images.shape == (10_000, 3, 32, 32)
    x = data.normalise(data.train.images[:2000])
    assert abs(float(x.mean())) < 0.3
    assert 0.8 < float(x.std()) < 1.3


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other arrays", "other shape"])
def test_damaged_files_are_named(tmp_path, damage):
    path = tmp_path / "train_1.npz"
    good = {"residual": np.zeros((3, 4, 32, 32), np.uint8), "labels": np.zeros(4, np.uint8)}
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        np.savez(path, **good)
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "other arrays":
        np.savez(path, pixels=good["residual"], labels=good["labels"])
    elif damage == "other shape":
        np.savez(path, residual=good["residual"][:, :3], labels=good["labels"])
    with pytest.raises(DataError, match=r"train_1\.npz: "):
        decode(path)


def test_missing_data_name_every_place_and_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("KOMPAKT_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        cifar10()
    assert "data/cifar10: not found" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "set KOMPAKT_DATA" in str(caught.value)


def test_an_empty_variable_counts_as_none(monkeypatch, tmp_path):
    monkeypatch.setenv("KOMPAKT_DATA", "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="shared"):
        locate("data/nothing")
