"""Tiny training runs: a quantized DigitsNet on a few digits, seconds on one core."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kompakt.data import Dataset, digits
from kompakt.graph import trace
from kompakt.quant.attach import Choice, LayerChoice, attach, calibrate
from kompakt.train import TrainSettings, train
from kompakt.zoo import DigitsNet

from .quantized import EIGHT, layer

SETTINGS = TrainSettings(
    epochs=3, batch_size=32, lr=0.02, last_stage_epochs=1, evaluate_every=2, bf16=False, compile=False,
    checkpoint_s=1e-9,
)  # fmt: skip
STEPS = 5  # per epoch


def few_digits() -> Dataset:
    """160 images for training, 40 for testing, random crops."""
    return digits().smallest(160, 40)


def float_net() -> nn.Module:
    """The teacher, random but always the same."""
    torch.manual_seed(7)
    return DigitsNet(4).eval()


def quantized_net(net: nn.Module, inner: LayerChoice = layer("lq_nets2", "lq_nets2")) -> nn.Module:  # noqa: B008
    """`inner` inside (LQ-Nets: running means), LSQ at the ends (learned steps)."""
    dataset = few_digits()
    graph = trace(net, torch.zeros(2, 1, 8, 8))
    names = [str(node.target) for node in graph.layers()]
    choices = {name: EIGHT if name in (names[0], names[-1]) else inner for name in names}
    graph = attach(graph, choices, Choice("lsq", 8))
    calibrate(graph, torch.from_numpy(dataset.normalise(dataset.train.images[:64])))
    return graph.module


def run(folder: Path, resume: bool = False, module: nn.Module | None = None, **changes: Any) -> nn.Module:
    """Train (or go on training) into `folder`; gives the trained module."""
    torch.set_num_threads(1)
    net = float_net()
    module = quantized_net(net) if module is None else module
    settings = replace(SETTINGS, **changes)
    train(module, few_digits(), settings, folder, teacher=net, resume=resume, fingerprint="tiny")
    return module


def checkpoint(folder: Path) -> dict[str, Any]:
    """Content of the checkpoint, without the time spent."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    del state["progress"]["seconds"], state["progress"]["metrics_bytes"]
    return state


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Records of `metrics.jsonl`, without the time spent."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


def same(a: Any, b: Any) -> bool:
    """Whether two nested states have the same bits."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b) and a.dtype == b.dtype
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)
