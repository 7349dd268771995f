"""LSTM layers over a sequence of feature vectors: a classifier of the last state, and a model of every next step."""

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


class CharacterLstm(nn.Module):
    """One-hot characters (N, characters, steps, 1) -> logits of the next one at every step (N, steps, characters)."""

    def __init__(self, characters: int, hidden: int = 128, layers: int = 2) -> None:
        super().__init__()
        self.lstm = nn.LSTM(characters, hidden, layers, batch_first=True)
        self.decoder = nn.Linear(hidden, characters)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x.flatten(2).transpose(1, 2))
        logits: Tensor = self.decoder(states)
        return logits
