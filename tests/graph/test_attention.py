"""Vision Transformers in the usual spellings: traced, quantized, lowered, and equal in the engine."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kompakt import _native
from kompakt._core.errors import GraphError
from kompakt.artifact import to_bytes
from kompakt.deploy import lower
from kompakt.engine.reference import run
from kompakt.graph import trace
from support.integer_exact import assert_agrees
from support.quantized import SETUPS, layer, quantized

WIDTH, HEADS = 24, 3


class Attention(nn.Module):
    """Self-attention; `spell` makes (N, T, C) of the module and its input."""

    def __init__(self, spell) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.heads, self.scale, self.drop, self.spell = HEADS, (WIDTH // HEADS) ** -0.5, nn.Dropout(0.1), spell

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.spell(self, x))


def by_permute(m: Attention, x: Tensor) -> Tensor:
    n, t, c = x.shape
    q, k, v = m.qkv(x).reshape(n, t, 3, m.heads, c // m.heads).permute(2, 0, 3, 1, 4).unbind(0)
    attn = m.drop(((q @ k.transpose(-2, -1)) * m.scale).softmax(dim=-1))
    return (attn @ v).transpose(1, 2).reshape(n, t, c)


def by_index(m: Attention, x: Tensor) -> Tensor:
    n, t, c = x.shape
    qkv = m.qkv(x).reshape(n, t, 3, m.heads, c // m.heads).permute(2, 0, 3, 1, 4)
    q, k, v = qkv[0] * m.scale, qkv[1], qkv[2]
    return torch.matmul(F.softmax(torch.matmul(q, k.transpose(2, 3)), -1), v).transpose(1, 2).flatten(2)


def by_chunk(m: Attention, x: Tensor) -> Tensor:
    q, k, v = (y.view(x.size(0), x.size(1), m.heads, -1).transpose(1, 2) for y in m.qkv(x).chunk(3, dim=-1))
    weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.size(-1)), dim=-1)
    return (weights @ v).transpose(1, 2).contiguous().view(x.size(0), x.size(1), -1)


def by_function(m: Attention, x: Tensor) -> Tensor:
    parts = m.qkv(x).split(WIDTH, -1)
    q, k, v = (parts[i].unflatten(2, (m.heads, -1)).transpose(1, 2) for i in range(3))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class Block(nn.Module):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attention = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), attention
        self.is_torch = isinstance(attention, nn.MultiheadAttention)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 40), nn.GELU(), nn.Dropout(0.1), nn.Linear(40, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        y = self.attention(y, y, y, need_weights=False)[0] if self.is_torch else self.attention(y)
        x = x + y
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Patches of a 12 x 8 image, position embedding, blocks, mean over tokens."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.embed, self.position = nn.Conv2d(3, WIDTH, 4, 4), nn.Parameter(torch.randn(1, 6, WIDTH) / 4)
        self.blocks, self.norm, self.head = nn.Sequential(*blocks), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(x)).mean(1))


def torch_encoder(norm_first: bool) -> nn.Module:
    layer_ = nn.TransformerEncoderLayer(WIDTH, HEADS, 40, activation="gelu", batch_first=True, norm_first=norm_first)
    return nn.TransformerEncoder(layer_, 2, enable_nested_tensor=False)


SPELLINGS = {
    "permute": lambda: Block(Attention(by_permute)),
    "index": lambda: Block(Attention(by_index)),
    "chunk": lambda: Block(Attention(by_chunk)),
    "function": lambda: Block(Attention(by_function)),
    "module": lambda: Block(nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)),
    "encoder": lambda: torch_encoder(False),
    "encoder, norm first": lambda: torch_encoder(True),
}
OPERATORS = {"conv2d", "reshape", "add_constant", "layer_norm", "linear", "attention", "gather", "add", "unary",
             "identity", "avg_pool"}  # fmt: skip


@pytest.fixture(params=SPELLINGS)
def net(request) -> nn.Module:
    torch.manual_seed(0)
    return VisionTransformer(SPELLINGS[request.param]()).eval()


def test_every_spelling_is_one_attention_operator(net):
    graph = trace(net, torch.randn(2, 3, 12, 8))
    kinds = [graph.kind(node).op for node in graph.nodes]
    assert set(kinds) <= OPERATORS
    assert kinds.count("attention") in (1, 2)
    x = torch.randn(5, 3, 12, 8)
    with torch.no_grad():
        torch.testing.assert_close(graph.module(x), net(x), rtol=1e-5, atol=1e-5)
    assert sum(p.numel() for p in graph.module.parameters()) == sum(p.numel() for p in net.parameters())


def test_float_program_is_the_network(net):
    program = lower(trace(net, torch.randn(2, 3, 12, 8)))
    x = torch.randn(3, 3, 12, 8)
    with torch.no_grad():
        expected = net(x).numpy()
    found = run(program, x.numpy())
    np.testing.assert_allclose(found, expected, atol=3e-6 * np.abs(expected).max())


@pytest.mark.parametrize("setup", ["lsq-w4a4-everywhere", "lsq-w8a8", "weights only"])
@pytest.mark.parametrize("spelling", ["permute", "module"])
def test_quantized_program_is_the_network(spelling, setup):
    torch.manual_seed(1)
    net, x = VisionTransformer(SPELLINGS[spelling](), SPELLINGS[spelling]()).eval(), torch.randn(6, 3, 12, 8)
    graph = quantized(net, x, SETUPS[setup])
    program = lower(graph)
    if setup != "weights only":
        kinds = {node.name: node.op for node in program.nodes}
        assert list(kinds.values()).count("attention") == 2
    assert_agrees(graph, x.numpy())
    found = run(program, x.numpy())
    for threads in (1, 2):
        assert np.array_equal(_native.Engine(to_bytes(program), threads).run(x.numpy()), found)


class Bad(nn.Module):
    def __init__(self, then) -> None:
        super().__init__()
        self.embed, self.then = nn.Conv2d(3, WIDTH, 4, 4), then
        self.token, self.fc = nn.Parameter(torch.zeros(1, 1, WIDTH)), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.then(self, self.embed(x).flatten(2).transpose(1, 2))


def heads(x: Tensor) -> Tensor:
    return x.unflatten(2, (HEADS, -1)).transpose(1, 2)


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (lambda m, x: torch.cat([m.token.expand(x.size(0), -1, -1), x], 1)[:, 0], "class token"),
        (lambda m, x: F.scaled_dot_product_attention(*[heads(x)] * 3, is_causal=True).flatten(1), "mask"),
        (lambda m, x: F.scaled_dot_product_attention(heads(x[:, :2]), *[heads(x)] * 2).flatten(1), "one shape"),
        (lambda m, x: F.gelu(x, approximate="tanh"), "approximate"),
        (lambda m, x: x.mean(2), "over tokens|tokens"),
        (lambda m, x: F.softmax(m.fc(x), -1), "softmax"),
        (lambda m, x: x + m.token, "outside a layer"),
    ],
)
def test_what_is_not_supported_is_named(then, words):
    with pytest.raises(GraphError, match=words):
        trace(Bad(then), torch.randn(2, 3, 12, 8))


@pytest.mark.parametrize(
    "module",
    [nn.MultiheadAttention(WIDTH, HEADS), nn.MultiheadAttention(WIDTH, HEADS, batch_first=True, add_zero_attn=True)],
)
def test_settings_of_attention_that_are_not_supported(module):
    with pytest.raises(GraphError, match="batch_first=True"):
        trace(VisionTransformer(Block(module)), torch.randn(2, 3, 12, 8))


def test_a_position_embedding_can_be_trained():
    graph = trace(VisionTransformer(SPELLINGS["function"]()), torch.randn(2, 3, 12, 8))
    assert [tuple(p.shape) for p in graph.module.parameters()].count((1, 6, WIDTH)) == 1
    graph.module(torch.randn(2, 3, 12, 8)).sum().backward()
    assert all(p.grad is not None for p in graph.module.parameters())


def test_residual_stream_and_layer_inputs_have_slots():
    torch.manual_seed(0)
    net, x = VisionTransformer(SPELLINGS["permute"]()).eval(), torch.randn(4, 3, 12, 8)
    graph = quantized(net, x, SETUPS["lsq-w4a4-everywhere"])
    assert [graph.kind(node).op for node in graph.nodes].count("slot") >= len(graph.layers())
    assert layer("lsq4", "lsq4")
