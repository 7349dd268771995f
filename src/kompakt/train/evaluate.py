"""Accuracy of a torch module on a split."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ..data import Dataset, Split


@torch.no_grad()
def predict(module: nn.Module, dataset: Dataset, split: Split, batch_size: int = 500) -> np.ndarray:
    """Logits of every image of `split`, float32 (N, classes), in evaluation mode and float32."""
    was_training, device = module.training, next(module.parameters()).device
    module.eval()
    parts = []
    for i in range(0, len(split), batch_size):
        x = torch.from_numpy(dataset.normalise(split.images[i : i + batch_size]))
        parts.append(module(x.contiguous(memory_format=torch.channels_last).to(device)).float().cpu().numpy())
    module.train(was_training)
    return np.concatenate(parts)


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers in percent."""
    return float(100.0 * np.mean(logits.argmax(1) == labels))
