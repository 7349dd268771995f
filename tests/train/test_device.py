"""Which device a training takes."""

from __future__ import annotations

import pytest
import torch

from kompakt._core.errors import TrainingError
from kompakt.train import TrainSettings, device_of


@pytest.mark.parametrize(
    ("name", "has_gpu", "expected"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_a_gpu_is_taken_where_there_is_one(name, has_gpu, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert device_of(name) == torch.device(expected)


def test_a_gpu_that_is_not_there_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match='set device to "auto"'):
        device_of("cuda")
    with pytest.raises(TrainingError, match="device must be one of auto, cpu, cuda, got 'tpu'"):
        TrainSettings(device="tpu")
