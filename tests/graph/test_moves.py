"""Moves of data: whatever their spelling, they become channel and position gathers, reshapes and flattens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kompakt import _native
from kompakt._core.errors import GraphError
from kompakt.artifact import to_bytes
from kompakt.deploy import lower
from kompakt.engine.reference import run
from kompakt.graph import trace
from kompakt.graph.moves import Gather, Reshape
from support.quantized import SETUPS, quantized

ORDER = torch.tensor([3, 1, 0, 2])


class Moving(nn.Module):
    """A convolution (3 -> 4), the move, and nothing else."""

    def __init__(self, move) -> None:
        super().__init__()
        self.conv, self.move = nn.Conv2d(3, 4, 1), move

    def forward(self, x: Tensor) -> Tensor:
        return self.move(self.conv(x))


def engine_layout(x: Tensor) -> np.ndarray:
    """(N, T, C) as the engine has it, (N, C, T, 1)."""
    return (x.transpose(1, 2)[..., None] if x.dim() == 3 else x).numpy()


MOVES = {
    "permutation": lambda x: x[:, ORDER],
    "index_select": lambda x: x.index_select(1, ORDER),
    "slice": lambda x: x[:, 1:3],
    "every other channel": lambda x: x[:, ::2],
    "repeated channel": lambda x: x[:, [0, 0, 3]],
    "second half": lambda x: x.chunk(2, 1)[1],
    "split": lambda x: x.split([1, 3], dim=1)[1],
    "channel shuffle": lambda x: x.view(x.size(0), 2, 2, 4, 6).transpose(1, 2).reshape(x.size(0), 4, 4, 6),
    "reversed": lambda x: x.flip(1),
    "strides": lambda x: x[:, :, ::2, ::3],
    "window": lambda x: x[:, :, 1:3, 2:],
    "rotated": lambda x: x.transpose(2, 3),
    "mirrored": lambda x: x.flip(3),
    "tokens": lambda x: x.flatten(2).transpose(1, 2),
    "tokens by permute": lambda x: x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4),
    "tokens and back": lambda x: x.flatten(2).transpose(1, 2).transpose(1, 2).view(-1, 4, 6, 4),
    "last token": lambda x: x.flatten(2).transpose(1, 2)[:, -1],
    "some tokens": lambda x: x.flatten(2).transpose(1, 2)[:, 3:9:2],
    "tokens flattened": lambda x: x.flatten(2).transpose(1, 2).flatten(1),
    "channels last, flattened": lambda x: x.permute(0, 2, 3, 1).flatten(1),
    "one place": lambda x: x[:, :, 2, 3],
    "part of the flat vector": lambda x: x.flatten(1)[:, 5:50],
    "unflattened": lambda x: x[:, :, 2, 3].unsqueeze(-1).unsqueeze(-1),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_move_is_what_the_model_does(name):
    torch.manual_seed(0)
    net = Moving(MOVES[name]).eval()
    graph = trace(net, torch.randn(2, 3, 4, 6))
    assert {graph.kind(node).op for node in graph.nodes} <= {"conv2d", "gather", "reshape", "flatten"}
    x = torch.randn(5, 3, 4, 6)
    with torch.no_grad():
        expected = net(x)
        assert torch.equal(graph.module(x), expected)
    program = lower(graph)
    found = run(program, x.numpy())
    np.testing.assert_allclose(found, engine_layout(expected), rtol=1e-5, atol=1e-6)
    assert np.array_equal(_native.Engine(to_bytes(program), 1).run(x.numpy()), found)


def test_a_batch_size_of_one_in_the_example_is_no_permission_to_mix_samples():
    net = Moving(lambda x: x.transpose(0, 1).reshape(1, 4, 4, 6)).eval()
    with pytest.raises(GraphError, match=r"transpose\(\)"):
        trace(net, torch.randn(1, 3, 4, 6))


class BlockDiagonal(nn.Module):
    """Fully connected layers of blocks between permutations."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.register_buffer("before", torch.randperm(24, generator=generator))
        self.register_buffer("after", torch.randperm(16, generator=generator))
        self.first, self.second = nn.Conv2d(24, 16, 1, groups=4), nn.Conv2d(16, 12, 1, groups=2)
        self.end = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x[:, self.before, None, None]))
        x = torch.relu(self.second(x[:, self.after]))
        return self.end(x.flatten(1))


@pytest.mark.parametrize("setup", ["lq-w2a2", "lsq-w4a4-everywhere", "weights only"])
def test_permuted_block_diagonal_layers(setup):
    torch.manual_seed(0)
    net, x = BlockDiagonal().eval(), torch.randn(6, 24)
    graph = quantized(net, x, SETUPS[setup])
    program = lower(graph)
    assert [node.op for node in program.nodes].count("gather") == 2
    found = run(program, x.numpy())
    with torch.no_grad():
        expected = graph.module(x).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert np.array_equal(_native.Engine(to_bytes(program), 2).run(x.numpy()), found)


@pytest.mark.parametrize("shape", [(2, 6), (2, 5, 6), (2, 6, 5, 1)])
def test_gathers_of_every_layout(shape):
    x, index = torch.randn(shape), torch.tensor([5, 0, 0])
    y = Gather(index, 0)(x)
    assert torch.equal(y, x[:, :, index] if len(shape) == 3 else x[:, index])
    if len(shape) > 2:
        y = Gather(torch.tensor([4, 1]), 1)(x)
        assert torch.equal(y, x[:, [4, 1]] if len(shape) == 3 else x[:, :, [4, 1]])


def test_reshapes_keep_channels_and_positions():
    x = torch.randn(2, 6, 4, 5)
    tokens = Reshape(None)(x)
    assert torch.equal(tokens, x.flatten(2).transpose(1, 2))
    assert torch.equal(Reshape((4, 5))(tokens), x)
    assert Reshape(None)(x[:, :, 0, 0]).shape == (2, 1, 6)
