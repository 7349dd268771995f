"""Accuracy of a torch module on a split."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from .._core.errors import DataError
from ..data import Dataset, Split, Tally, batch_size_of, judged
from ..data.judging import LARGEST_BATCH
from ..data.types import NO_LABEL
from ..graph.graph import set_modes
from .batches import in_channels_last


@torch.no_grad()
def predict(module: nn.Module, dataset: Dataset, split: Split, batch_size: int = LARGEST_BATCH) -> np.ndarray:
    """Outputs for every image of `split`, float32 (N, classes), in evaluation mode and float32; the mode stays.

    Raises: DataError for an empty split.
    """
    if not len(split):
        raise DataError(f"{dataset.name}: the split holds no image to predict")
    device, modes = next(module.parameters()).device, {m: m.training for m in module.modules()}
    module.eval()
    try:
        parts, batch_size = [], batch_size_of(split, batch_size)
        for i in range(0, len(split), batch_size):
            x = torch.from_numpy(dataset.normalise(split.images[i : i + batch_size]))
            parts.append(module(in_channels_last(x).to(device)).float().cpu().numpy())
    finally:
        set_modes(modes)
    return np.concatenate(parts)


def score(module: nn.Module, dataset: Dataset, split: Split) -> dict[str, float]:
    """`Tally.quality` of the outputs for a labelled split, which need not fit in memory."""
    tally, size = Tally(split.labels.ndim == 2), batch_size_of(split)
    for i in range(0, len(split), size):
        part = split.part(i, i + size)
        tally.add(judged(predict(module, dataset, part), part), part.labels[part.labels != NO_LABEL])
    return tally.quality()


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers in percent: logits (N, classes), labels (N,)."""
    return float(100.0 * np.mean(logits.argmax(1) == labels))
