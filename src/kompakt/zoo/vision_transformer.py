"""Vision Transformer (Dosovitskiy et al., ICLR 2021) of the "tiny" size of Touvron et al., ICML 2021; no class token.

The mean over tokens stands for the class token (Zhai et al., CVPR 2022).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class VisionTransformer(nn.Module):
    """(N, 3, size, size) -> (N, classes) logits.

    Args:
        size: of the image. patch: side of a patch, which divides it.
        width: features of a token. depth: number of blocks. heads: of the attention, a divisor of width.
    """

    def __init__(
        self, size: int = 224, patch: int = 16, width: int = 192, depth: int = 12, heads: int = 3, classes: int = 1000
    ) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.position = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width, 1e-6), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2) + self.position
        y: Tensor = self.head(self.norm(self.blocks(x)).mean(1))
        return y


class Block(nn.Module):
    """Self-attention and a two-layer perceptron, each behind a layer-norm and around a shortcut; (N, T, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.qkv, self.out, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.out(self._attend(self.qkv(self.norm1(x))))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y

    def _attend(self, qkv: Tensor) -> Tensor:
        n, tokens, width = qkv.shape
        parts = qkv.reshape(n, tokens, 3, self.heads, width // 3 // self.heads).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(parts[0], parts[1], parts[2]).transpose(1, 2).flatten(2)
