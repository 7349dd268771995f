"""Data sets from files: MNIST, the ImageNet sample, a text; what is damaged is refused."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kompakt._core.errors import DataError
from kompakt.data import NO_LABEL, load_dataset
from kompakt.data.characters import CONTEXT, LENGTH, character_dataset
from kompakt.data.mnist import decode


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOMPAKT_DATA", str(tmp_path))
    return tmp_path


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


def test_mnist_comes_from_idx_files(root: Path) -> None:
    folder = root / "data" / "mnist"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = {part: rng.integers(0, 256, (count, 28, 28), np.uint8) for part, count in (("train", 5), ("t10k", 3))}
    for part, pixels in images.items():
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(pixels))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(len(pixels), dtype=np.uint8)))
    found = load_dataset("mnist")
    assert np.array_equal(found.test.images[:, 0], images["t10k"])
    assert np.array_equal(found.train.images[:, 0], images["train"])
    assert found.train.labels.tolist() == [0, 1, 2, 3, 4]
    assert np.isclose(found.normalise(found.test.images)[0, 0, 0, 0], (images["t10k"][0, 0, 0] / 255 - 0.1307) / 0.3081)


@pytest.mark.parametrize("raw", [b"", b"no gzip", gzip.compress(b"\0\0"), idx(np.zeros((2, 3), np.uint8))[:-9],
                                 gzip.compress(struct.pack(">HBBI", 0, 13, 1, 1) + b"\0" * 4),
                                 gzip.compress(struct.pack(">HBBI", 0, 8, 1, 9) + b"\0")],
                         ids=["empty", "not gzip", "no header", "cut", "not bytes", "too short"])  # fmt: skip
def test_damaged_idx_files_are_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.gz").write_bytes(raw)
    with pytest.raises(DataError, match="expected a"):
        decode(tmp_path / "x.gz")


def test_the_imagenet_sample_comes_from_an_archive(root: Path) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="JPEG files need Pillow")
    folder = root / "data" / "imagenet-sample"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "images_256.zip", "w") as archive:
        for i in range(7):
            raw = io.BytesIO()
            image_module.new("RGB", (256, 256), (30 * i, 0, 255)).save(raw, "JPEG", quality=95)
            archive.writestr(f"{i:04}_n.jpg", raw.getvalue())
    found = load_dataset("imagenet-sample")
    assert found.test.images.shape == (7, 3, 256, 256)
    assert np.abs(found.test.images[:, 0, 0, 0].astype(int) - 30 * np.arange(7)).max() <= 3
    assert found.train.labels.tolist() == [0, 5]
    (folder / "images_256.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="expected JPEG images"):
        load_dataset("imagenet-sample")


def test_every_character_but_the_first_is_a_label_once() -> None:
    text = "abcab?" * 2500
    found = character_dataset("mine", text, "abc")
    kept = np.array([" abc".index(c) - 1 for c in text if c != "?"])
    judged = found.test.labels[found.test.labels != NO_LABEL]
    first = int(len(kept) * 0.1) + CONTEXT + 1
    assert np.array_equal(judged, kept[first : first + len(judged)])
    assert len(kept) - first - len(judged) < LENGTH
    assert (found.test.images.sum(1) == 1).all()
    assert np.array_equal(found.test.images.argmax(1)[0, 1:, 0][CONTEXT:], found.test.labels[0, CONTEXT:-1])
    assert found.test.is_labelled


def test_a_short_text_is_refused() -> None:
    with pytest.raises(DataError, match="needs more than 1024 characters of the vocabulary, got 300"):
        character_dataset("mine", "ab" * 1500, "ab")


def test_a_text_needs_its_card(root: Path) -> None:
    folder = root / "models" / "text-charlstm"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps({"input": {}}))
    (folder / "text.txt").write_text("abc")
    with pytest.raises(DataError, match="expected a text, and its vocabulary in the card"):
        load_dataset("essays")
