"""A text as numbers of words in windows, for language models: the label of a word is the next one."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from .._core.errors import DataError
from ._locate import locate
from .types import NO_LABEL, Dataset, Split

LENGTH, CONTEXT = 64, 32  # words of a window, and those in front of a test window's labels that only set the state
END = "<eos>"


def ptb() -> Dataset:
    """Penn Treebank in Mikolov's preparation, 10,000 words: 929,589 for training, 82,430 for testing.

    Raises: DataError where the files are missing or damaged.
    """
    folder = locate("data/ptb")
    texts = []
    for part in ("train", "test"):
        path = folder / f"ptb.{part}.txt.gz"
        try:
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                texts.append([word for line in lines for word in (*line.split(), END)])
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: expected a text, a sentence a line ({error})") from error
    return word_dataset("ptb", *texts)


def word_dataset(name: str, train: Sequence[str], test: Sequence[str]) -> Dataset:
    """Two texts; words are numbered by how often the first one holds them, ties by the alphabet.

    Training windows follow each other; test windows overlap by the context, so that all words of the test text but the
    first are judged, each once.

    Raises: DataError if a text is shorter than a window, or a word of `test` is not in `train`.
    """
    counts = Counter(train)
    number = {word: i for i, word in enumerate(sorted(counts, key=lambda word: (-counts[word], word)))}
    return Dataset(
        name, windows(_numbers(train, number, name), 0), windows(_numbers(test, number, name), CONTEXT), (0.0,), (1.0,)
    )


def _numbers(text: Sequence[str], number: Mapping[str, int], name: str) -> np.ndarray:
    try:
        return np.array([number[word] for word in text], np.int64)
    except KeyError as error:
        raise DataError(f"{name}: the word {error} of the test text is not in the training text") from None


def windows(ids: np.ndarray, context: int) -> Split:
    """Word numbers (N, LENGTH), float32 as every input, and labels (N, LENGTH) of a text of numbers (words,).

    Every word but the first is a label once, and stands `context` or more words behind the start of its window, or of
    the text. The last window ends with the text.

    Raises: DataError if there is no whole window.
    """
    last = len(ids) - 1 - LENGTH
    if last < 0:
        raise DataError(f"a text needs more than {LENGTH} words, got {len(ids)}")
    starts = np.array([*range(0, last, LENGTH - context), last])
    places = starts[:, None] + np.arange(LENGTH)
    labels = ids[places + 1]
    labels[1:][places[1:] < starts[:-1, None] + LENGTH] = NO_LABEL  # the window before has judged them
    return Split(ids[places].astype(np.float32), labels)
