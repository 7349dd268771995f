"""The same batch again: what a controller measures must not be what the run goes on with."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn


@final
class Replay:
    """Made before a forward pass; calling it repeats that pass with the same random numbers and leaves no trace.

    Args:
        module: whose buffers (running statistics of batch-norms and quantizers) come back as they were.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module, self.devices = module, sorted({p.device.index or 0 for p in module.parameters() if p.is_cuda})
        self.states = self._random_states()

    @torch.no_grad()
    def __call__(self, compute: Callable[[], Tensor]) -> Tensor:
        """What `compute` gives."""
        kept, states = [(buffer, buffer.clone()) for buffer in self.module.buffers()], self._random_states()
        try:
            self._set(self.states)
            return compute()
        finally:
            self._set(states)
            for buffer, value in kept:
                buffer.copy_(value)

    def _random_states(self) -> list[Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in self.devices)]

    def _set(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for device, state in zip(self.devices, states[1:], strict=True):
            torch.cuda.set_rng_state(state, device)
