"""Recurrent layers over a sequence: a classifier of the last state, and models of the next character or word."""

from __future__ import annotations

from typing import Literal

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


class WordModel(nn.Module):
    """Numbers of words (N, steps) -> logits of the next word at every step (N, steps, words): one recurrent layer."""

    def __init__(
        self, layer: Literal["lstm", "gru"], words: int = 10_000, hidden: int = 200, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(words, hidden), nn.Dropout(dropout)
        self.recurrent = {"lstm": nn.LSTM, "gru": nn.GRU}[layer](hidden, hidden, batch_first=True)
        self.decoder = nn.Linear(hidden, words)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrent(self.dropout(self.embedding(x.long())))
        logits: Tensor = self.decoder(self.dropout(states))
        return logits
