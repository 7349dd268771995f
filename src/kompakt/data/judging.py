"""How good outputs are, beside the labels of a split: of images, and of every step of a sequence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .types import NO_LABEL, Split

LARGEST_BATCH = 500
# Values of a batch. Maps inside a network are some times its inputs; batches of few megabytes use memory again.
INPUT_VALUES, OUTPUT_VALUES = 2**20, 2**22


def batch_size_of(split: Split, largest: int = LARGEST_BATCH) -> int:
    """How many inputs of `split` a network takes at once, by the values that enter and that leave it."""
    inputs = math.prod(split.images.shape[1:])
    outputs = math.prod(split.labels.shape[1:]) * (int(split.labels.max(initial=NO_LABEL)) + 1)
    return max(1, min(largest, INPUT_VALUES // max(inputs, 1), OUTPUT_VALUES // max(outputs, 1)))


def judged(outputs: np.ndarray, split: Split) -> np.ndarray:
    """The outputs that have a label, (M, classes), of the first inputs of a split.

    Those of sequences, (N, T, classes) in torch and (N, classes, T, 1) in the engine, are one row a step.
    """
    if outputs.ndim == 2:
        return outputs
    by_step = outputs if outputs.ndim == 3 else np.moveaxis(outputs[..., 0], 1, 2)
    rows = by_step.reshape(-1, by_step.shape[2])
    return rows[split.labels[: len(outputs)].reshape(-1) != NO_LABEL] if split.is_labelled else rows


@dataclass
class Tally:
    """Judged outputs, counted batch by batch.

    Attributes:
        by_step: whether they are of steps of sequences.
        count, right: outputs, and those whose largest entry is the label's.
        code_length: the sum of -log2 of the probability of the label; of sequences only.
    """

    by_step: bool
    count: int = 0
    right: int = 0
    code_length: float = 0.0

    def add(self, outputs: np.ndarray, labels: np.ndarray) -> None:
        """Count outputs (M, classes) with their labels (M,)."""
        self.count += len(outputs)
        self.right += int(np.count_nonzero(outputs.argmax(1) == labels))
        if self.by_step:
            wide = outputs.astype(np.float64)
            top = wide.max(1)
            log_sum = top + np.log(np.exp(wide - top[:, None]).sum(1))
            self.code_length += float((log_sum - wide[np.arange(len(wide)), labels]).sum() / np.log(2))

    def quality(self) -> dict[str, float]:
        """`top1` in percent, and for sequences `bits`: the mean of -log2 of the probability of the label."""
        found = {"top1": 100.0 * self.right / self.count}
        if self.by_step:
            found["bits"] = self.code_length / self.count
        return found


def quality(outputs: np.ndarray, labels: np.ndarray, split: Split) -> dict[str, float]:
    """`Tally.quality` of all outputs (M, classes) of a split at once."""
    tally = Tally(split.labels.ndim == 2)
    tally.add(outputs, labels)
    return tally.quality()
