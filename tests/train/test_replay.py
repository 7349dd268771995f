"""Controllers: when they are called, what they are told, and that measuring leaves no trace in a run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kompakt.quant import Quantizer
from kompakt.quant.rule import Rule
from kompakt.train.replay import Replay
from support.quantized import layer
from support.training import STEPS, checkpoint, float_net, quantized_net, run, same


def test_a_repeated_pass_gives_the_same_and_changes_nothing():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)).train()
    x = torch.randn(16, 6)
    replay = Replay(net)
    first = net(x).detach()
    state, random = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    assert torch.equal(replay(lambda: net(x)), first)
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_pass_that_fails_changes_nothing():
    net = nn.BatchNorm1d(3).train()
    before = net.running_mean.clone()

    def fails():
        net(torch.ones(4, 3))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        Replay(net)(fails)
    assert torch.equal(net.running_mean, before)


@pytest.fixture
def moments(monkeypatch):
    """Every rule names a controller that measures the same batch again; gives what it saw."""
    seen = []

    def watch(rules, moment):
        gradients = all(weight.grad is not None for _, weight in rules if weight is not None)
        seen.append((moment.loss, moment.again(), moment.ends_epoch, moment.penalty, gradients, len(rules)))

    monkeypatch.setattr(Rule, "controller", lambda rule: watch)
    return seen


def test_controllers_see_every_step_until_the_last_stage(moments, tmp_path):
    module = run(tmp_path, module=quantized_net(float_net(), layer("lsq3", "lsq3")), epochs=2, penalty=3.0)
    assert [ends for _, _, ends, *_ in moments] == [False] * (STEPS - 1) + [True]
    quantizers = sum(isinstance(m, Quantizer) for m in module.modules())
    assert {moment[3:] for moment in moments} == {(3.0, True, quantizers)}
    assert all(torch.equal(loss, again) for loss, again, *_ in moments)


def test_measuring_leaves_no_trace_in_the_run(moments, tmp_path, monkeypatch):
    run(tmp_path / "watched", epochs=2, module=quantized_net(float_net()))
    monkeypatch.undo()
    run(tmp_path / "plain", epochs=2, module=quantized_net(float_net()))
    assert same(checkpoint(tmp_path / "watched"), checkpoint(tmp_path / "plain"))
