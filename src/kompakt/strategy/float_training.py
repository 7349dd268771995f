"""Float training from random weights, for networks that do not come trained."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import nn

from ..data import Dataset
from ..train import TrainSettings, train
from ..train.loop import in_memory_format
from .job import Progress


def train_float(
    module: nn.Module, dataset: Dataset, settings: TrainSettings, folder: Path, *, resume: bool = False,
    fingerprint: str = "", on_progress: Progress = lambda record: None,
) -> nn.Module:  # fmt: skip
    """A copy of `module` trained on `dataset`, in evaluation mode; its state goes to `folder`, as `train` says.

    Raises: TrainingError.
    """
    model = copy.deepcopy(module)
    on_progress({"event": "phase", "phase": "train float"})
    train(model, dataset, settings, folder, resume=resume, fingerprint=fingerprint, on_progress=on_progress)
    return in_memory_format(model, torch.contiguous_format).eval()
