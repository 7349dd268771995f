"""A text as one-hot characters in windows, for character language models: the label of a character is the next one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .._core.errors import DataError
from ._locate import locate
from .cards import card
from .types import NO_LABEL, Dataset, Split

LENGTH, CONTEXT = 1024, 128  # characters of a window, and those in front that only set the state
TRAIN_SHARE = 0.1


def essays() -> Dataset:
    """The text that the character LSTM comes with: the first tenth calibrates, the others test. Raises: DataError."""
    name = "text-charlstm"
    path = locate(f"models/{name}") / "text.txt"
    try:
        vocabulary, text = card(name)["input"]["vocabulary"], path.read_text(encoding="utf-8")
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a text, and its vocabulary in the card ({error})") from error
    return character_dataset("essays", text, vocabulary)


def character_dataset(name: str, text: str, vocabulary: Sequence[str]) -> Dataset:
    """A text over a vocabulary; other characters are dropped.

    Raises: DataError if one of both parts is shorter than a window.
    """
    index = {character: i for i, character in enumerate(vocabulary)}
    ids = np.array([index[c] for c in text if c in index], np.int64)
    cut = int(len(ids) * TRAIN_SHARE)
    train, test = windows(ids[:cut], len(vocabulary)), windows(ids[cut:], len(vocabulary))
    return Dataset(name, train, test, (0.0,), (1.0,))


def windows(ids: np.ndarray, size: int) -> Split:
    """One-hot images uint8 (N, size, LENGTH, 1) and labels (N, LENGTH) of characters that overlap by the context.

    Every character but those of the first context is a label once; characters behind the last window are left out.

    Raises: DataError if there is no whole window.
    """
    starts = range(0, len(ids) - LENGTH, LENGTH - CONTEXT)
    if not len(starts):
        raise DataError(f"a text needs more than {LENGTH} characters of the vocabulary, got {len(ids)}")
    rows = np.stack([ids[i : i + LENGTH] for i in starts])
    labels = np.stack([ids[i + 1 : i + LENGTH + 1] for i in starts])
    labels[:, :CONTEXT] = NO_LABEL
    return Split((rows[:, None, :, None] == np.arange(size)[:, None, None]).astype(np.uint8), labels)
