"""Texts as word numbers in windows: every word is judged once, behind enough context."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from kompakt._core.errors import DataError
from kompakt.data import NO_LABEL, load_dataset, locate
from kompakt.data.words import CONTEXT, END, LENGTH, windows, word_dataset


@pytest.mark.parametrize("context", [0, CONTEXT])
@pytest.mark.parametrize("words", [LENGTH + 1, LENGTH + 2, 2 * LENGTH, 2 * LENGTH + 1, 3 * LENGTH + 7])
def test_every_word_but_the_first_is_a_label_once_behind_its_context(words: int, context: int) -> None:
    split = windows(np.arange(words), context)
    rows, steps = np.nonzero(split.labels != NO_LABEL)
    labels = split.labels[rows, steps]
    assert sorted(labels) == list(range(1, words))
    assert np.array_equal(split.images[rows, steps], labels - 1)
    assert ((steps >= context) | (labels <= LENGTH) | (rows == len(split) - 1)).all()
    assert (steps[rows > 0] >= context).all()
    assert split.is_labelled


def test_words_are_numbered_by_how_often_they_come() -> None:
    text = ["b", "a", "b", "c", "a", "b"] * LENGTH
    data = word_dataset("letters", text, text[: LENGTH + 1])
    assert data.train.images[0, :6].tolist() == [0, 1, 0, 2, 1, 0]
    assert data.test.labels[0, :5].tolist() == [1, 0, 2, 1, 0]
    assert np.array_equal(data.normalise(data.test.images), data.test.images)


def test_what_is_no_text() -> None:
    text = ["a"] * (LENGTH + 1)
    with pytest.raises(DataError, match="more than 64 words, got 64"):
        word_dataset("short", text, text[1:])
    with pytest.raises(DataError, match=r"the word 'b' of the test text is not in the training text"):
        word_dataset("foreign", text, [*text, "b"])


def test_the_treebank_is_the_published_one() -> None:
    try:
        locate("data/ptb")
    except DataError as error:
        pytest.skip(str(error))
    data = load_dataset("ptb")
    found = {split: (getattr(data, split).labels != NO_LABEL).sum() for split in ("train", "test")}
    assert found == {"train": 929_589 - 1, "test": 82_430 - 1}
    assert len(np.unique(data.train.images)) == 10_000
    assert data.train.images.max() == 9_999


def test_damaged_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOMPAKT_DATA", str(tmp_path))
    with pytest.raises(DataError, match="data/ptb: not found"):
        load_dataset("ptb")
    (tmp_path / "data/ptb").mkdir(parents=True)
    whole = gzip.compress(b"a b c\n" * LENGTH)
    for content in (b"no gzip", whole[:-9], gzip.compress(b"\xff\xfe\n")):
        (tmp_path / "data/ptb/ptb.train.txt.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"ptb\.train\.txt\.gz: expected a text"):
            load_dataset("ptb")
    for part in ("train", "test"):
        (tmp_path / f"data/ptb/ptb.{part}.txt.gz").write_bytes(whole)
    assert set(np.unique(load_dataset("ptb").train.images)) == {0, 1, 2, 3}, f"three words and {END}"
