"""Two LSTM layers over a sequence of feature vectors, and a linear layer on the last state."""

from __future__ import annotations

from torch import Tensor, nn


class LstmClassifier(nn.Module):
    """(N, features, steps, 1) -> (N, classes) logits."""

    def __init__(self, features: int = 128, hidden: int = 256, layers: int = 2, classes: int = 10) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, layers, batch_first=True)
        self.linear = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x.flatten(2).transpose(1, 2))
        logits: Tensor = self.linear(states[:, -1])
        return logits
