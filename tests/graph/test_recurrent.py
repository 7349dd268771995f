"""Language-model-like nets: token ids, embedding, recurrent layers; quantized, lowered, and equal in the engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kompakt import _native
from kompakt._core.errors import GraphError, InputError, QuantizerError
from kompakt.artifact import to_bytes
from kompakt.deploy import lower
from kompakt.engine import load
from kompakt.engine.reference import run
from kompakt.graph import trace
from kompakt.measure import layer_costs
from kompakt.quant.attach import Choice, LayerChoice, attach
from support.integer_exact import assert_agrees
from support.quantized import SETUPS, quantized
from support.sequences import WORDS, LanguageModel, ids


class Signals(nn.Module):
    """A recurrent layer over the columns of a map (N, 4, T, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.GRU(4, 6, batch_first=True, bias=False), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.squeeze(3).transpose(1, 2))[0].mean(1))


def engine_layout(y: Tensor) -> np.ndarray:
    return (y.transpose(1, 2)[..., None] if y.dim() == 3 else y).detach().numpy()


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("last", [False, True])
def test_traced_in_parts_to_the_same_function(kind, last):
    torch.manual_seed(0)
    net = LanguageModel(kind, last=last, dropout=0.2).eval()
    graph = trace(net, ids(2, 9).float())
    assert [str(node.target) for node in graph.layers()] == [
        "embed", "body.ih_l0", "body.hh_l0", "body.ih_l1", "body.hh_l1", "head",
    ]  # fmt: skip
    x = ids(5, 9, seed=1).float()
    with torch.no_grad():
        torch.testing.assert_close(graph.module(x), net(x), rtol=1e-5, atol=1e-6)
    assert sum(p.numel() for p in graph.module.parameters()) == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_float_program_is_the_network(kind):
    torch.manual_seed(0)
    net = LanguageModel(kind).eval()
    program = lower(trace(net, ids(2, 9)))
    x = ids(4, 9, seed=1)
    found = run(program, x.numpy().astype(np.float32))
    np.testing.assert_allclose(found, engine_layout(net(x)), atol=2e-6)


@pytest.mark.parametrize("setup", ["lsq-w4a4-everywhere", "lsq-w8a8", "weights only"])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_quantized_program_is_the_network(kind, setup):
    torch.manual_seed(1)
    net, x = LanguageModel(kind, last=setup == "lsq-w8a8").eval(), ids(6, 11, seed=2)
    graph = quantized(net, x, SETUPS[setup])
    program = lower(graph)
    codes = [node for node in program.nodes if node.op in ("lstm", "gru") and node.attrs["encoding"] is not None]
    assert len(codes) == (0 if setup == "weights only" else 2)
    numbers = x.numpy().astype(np.float32)
    assert_agrees(graph, numbers)
    found = run(program, numbers)
    for threads in (1, 2):
        for isa in _native.isa_levels():
            assert np.array_equal(_native.Engine(to_bytes(program), threads, isa).run(numbers), found)


def test_a_map_of_signals():
    torch.manual_seed(0)
    net, x = Signals().eval(), torch.randn(5, 4, 8, 1)
    program = lower(trace(net, x))
    np.testing.assert_allclose(run(program, x.numpy()), net(x).detach().numpy(), atol=2e-6)


def test_training_moves_every_part():
    torch.manual_seed(0)
    graph = quantized(LanguageModel(nn.LSTM), ids(4, 6), SETUPS["lsq-w4a4-everywhere"])
    graph.module.train()
    graph.module(ids(4, 6)).square().sum().backward()
    without = [name for name, p in graph.module.named_parameters() if p.grad is None]
    assert without == []


def test_costs_count_steps_and_state_bits():
    torch.manual_seed(0)
    program = lower(quantized(LanguageModel(nn.LSTM), ids(4, 6), SETUPS["lsq-w4a4-everywhere"]))
    costs = {cost.name: cost for cost in layer_costs(program)}
    assert costs["embed"].macs == 0
    assert costs["body.hh_l0"].macs == 48 * 12 * 6
    assert costs["body.hh_l0"].activation_bits == 4
    rows = {row["node"]: row for row in load(to_bytes(program)).kernels()}
    assert rows["body.hh_l1"]["op"] == "lstm"
    assert rows["body.hh_l1"]["macs"] == 48 * 12 * 6


@pytest.mark.parametrize("bad", [WORDS, -1, 2.5, np.inf])
def test_token_ids_are_checked(bad):
    program = lower(trace(LanguageModel(nn.GRU, 1).eval(), ids(2, 5)))
    x = ids(3, 5).numpy().astype(np.float32)
    x[1, 2] = bad
    with pytest.raises(InputError, match=rf"whole token ids in 0\.\.{WORDS - 1}"):
        run(program, x)
    with pytest.raises(InputError, match=rf"whole token ids in 0\.\.{WORDS - 1}.*sample 1, token 2"):
        load(to_bytes(program))(x)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LanguageModel(nn.LSTM, bidirectional=True), "one direction"),
        (lambda: nn.Sequential(nn.Embedding(WORDS, 4, max_norm=1.0)), "max_norm"),
    ],
)
def test_settings_that_are_not_supported(make, words):
    net = make()
    net.head = nn.Identity()
    with pytest.raises(GraphError, match=words):
        trace(net, ids(2, 5))


def test_a_state_is_quantized_with_its_weights():
    graph = trace(LanguageModel(nn.LSTM, 1).eval(), ids(2, 5))
    with pytest.raises(QuantizerError, match="together with its weights"):
        attach(graph, {"body.hh_l0": LayerChoice(None, Choice("lsq", 4))}, None)
    with pytest.raises(QuantizerError, match="never negative"):
        attach(graph, {"body.hh_l0": LayerChoice(Choice("lsq", 4), Choice("lq_nets", 2))}, None)
