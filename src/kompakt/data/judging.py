"""How good outputs are, beside the labels of a split: of images, and of every step of a sequence."""

from __future__ import annotations

import numpy as np

from .types import NO_LABEL, Split


def judged(outputs: np.ndarray, split: Split) -> np.ndarray:
    """The outputs that have a label, (M, classes), of the first inputs of a split.

    Those of sequences, (N, T, classes) in torch and (N, classes, T, 1) in the engine, are one row a step.
    """
    if outputs.ndim == 2:
        return outputs
    by_step = outputs if outputs.ndim == 3 else np.moveaxis(outputs[..., 0], 1, 2)
    rows = by_step.reshape(-1, by_step.shape[2])
    return rows[split.labels[: len(outputs)].reshape(-1) != NO_LABEL] if split.is_labelled else rows


def quality(outputs: np.ndarray, labels: np.ndarray, split: Split) -> dict[str, float]:
    """`top1` in percent, and for sequences `bits`: the mean of -log2 of the probability of the label."""
    found = {"top1": float(100.0 * np.mean(outputs.argmax(1) == labels))}
    if split.labels.ndim == 2:
        wide = outputs.astype(np.float64)
        top = wide.max(1)
        log_sum = top + np.log(np.exp(wide - top[:, None]).sum(1))
        found["bits"] = float(np.mean(log_sum - wide[np.arange(len(wide)), labels]) / np.log(2))
    return found
