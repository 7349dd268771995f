"""A small language model, and token ids for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WORDS = 19


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, a linear layer per step (or on the last step)."""

    def __init__(self, kind: type[nn.Module], layers: int = 2, last: bool = False, **options) -> None:
        super().__init__()
        self.embed, self.body = nn.Embedding(WORDS, 10), kind(10, 12, layers, batch_first=True, **options)
        self.head, self.last = nn.Linear(12, 7), last

    def forward(self, ids: Tensor) -> Tensor:
        states, _ = self.body(self.embed(ids.long()))
        return self.head(states[:, -1] if self.last else states)


def ids(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, WORDS, shape, generator=torch.Generator().manual_seed(seed))
