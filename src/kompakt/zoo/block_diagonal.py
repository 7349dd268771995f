"""A fully connected layer of blocks between two permutations (Supic et al., "MPDCompress", 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SEED = 20_180_530


class BlockDiagonal(nn.Module):
    """(N, inputs) -> (N, outputs), with 1 / blocks of the weights of a full layer.

    Args:
        inputs, outputs: multiples of blocks.
        blocks: diagonal blocks; the permutations around them are fixed and random.
    """

    before: Tensor
    after: Tensor

    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        generator = torch.Generator("cpu").manual_seed(SEED)
        for name, count in (("before", inputs), ("after", outputs)):
            order = torch.randperm(count, generator=generator, device="cpu")
            self.register_buffer(name, order.to(torch.empty(0).device))
        self.layer = nn.Conv2d(inputs, outputs, 1, groups=blocks)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x[:, self.before, None, None]).flatten(1)[:, self.after]
        return y
