"""Where training computes."""

from __future__ import annotations

import torch

from .._core.errors import TrainingError

DEVICES = ("auto", "cpu", "cuda")


def device_of(name: str) -> torch.device:
    """A word of `DEVICES` as a device; "auto" is a GPU where PyTorch has one, else the CPU.

    Raises: TrainingError for "cuda" where there is none.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise TrainingError(
            'device = "cuda", but PyTorch has no GPU here; install its CUDA build, or set device to "auto"'
        )
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")
