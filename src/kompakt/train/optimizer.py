"""The optimizer, its learning rate over time, and the precision that it works in."""

from __future__ import annotations

import math

import torch
from torch import nn

from .._core.cpu import cpu_flags
from .settings import TrainSettings
from .shift_adamax import ShiftAdaMax


def make_optimizer(module: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """SGD (Nesterov), Adam or shift-based AdaMax; weight decay acts on weights of two or more axes only."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=settings.lr)
    if settings.optimizer == "shift_adamax":
        return ShiftAdaMax(groups, lr=settings.lr)
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0)


def learning_rate(settings: TrainSettings, epoch: float) -> float:
    """Learning rate at a (fractional) epoch."""
    if epoch < settings.warmup_epochs:
        return settings.lr * (epoch / settings.warmup_epochs)
    if settings.schedule == "constant":
        return settings.lr
    share = (epoch - settings.warmup_epochs) / max(settings.epochs - settings.warmup_epochs, 1e-9)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there: any GPU of today, a CPU with AVX-512 BF16 or AMX."""
    if device.type != "cpu":
        return True
    return bool({"avx512_bf16", "amx_bf16"} & cpu_flags())
