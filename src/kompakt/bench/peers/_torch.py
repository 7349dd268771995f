"""PyTorch itself, in float and in int8."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._clock import Runner
from .._network import Network

if TYPE_CHECKING:
    import torch


def eager(network: Network, threads: int, batch: int) -> Runner:
    return _runner(network.module, threads)


def compiled(network: Network, threads: int, batch: int) -> Runner:
    import torch

    return _runner(torch.compile(network.module, dynamic=False), threads)


def int8(network: Network, threads: int, batch: int) -> Runner:
    import torch
    from torch._inductor import config

    run = _runner(torch.compile(network.pt2e(batch), dynamic=False), threads, torch.no_grad)
    with config.patch(freezing=True):  # int8 kernels are found while constants are folded
        run(network.inputs(batch))
    return run


def _runner(module: Callable[[torch.Tensor], torch.Tensor], threads: int, mode: Any = None) -> Runner:
    """`mode`: context in which the module runs and is compiled; inference mode by default."""
    import torch

    mode = mode or torch.inference_mode
    torch.set_num_threads(threads)

    def run(x: np.ndarray) -> np.ndarray:
        with mode():
            output: np.ndarray = module(torch.from_numpy(x)).numpy()
        return output

    return run
