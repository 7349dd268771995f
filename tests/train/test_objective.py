"""Several bit-widths over one set of weights: what is shared, who teaches, and what swapped blocks do."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from kompakt._core.errors import QuantizerError
from kompakt.graph.blocks import chains
from kompakt.quant.widths import Widths
from kompakt.strategy import Job, prepare
from kompakt.strategy.recipe import parse_recipe
from kompakt.train import train
from kompakt.train.objective import Collaboration
from kompakt.zoo import ResNetCifar
from support.training import SETTINGS, checkpoint, few_digits, float_net, same

STAGE = {
    "kind": "quantize", "method": "adaptive", "activation_method": "lsq", "weight_bits": 8, "activation_bits": 8,
    "lower_bits": [4, 2],
}  # fmt: skip
RECIPE = {"name": "tiny", "stage": [STAGE]}


def job() -> Job:
    dataset = few_digits()
    x = torch.from_numpy(dataset.normalise(dataset.train.images[:64]))
    return prepare(float_net(), parse_recipe(RECIPE, {}), x[:2], x)


def widths() -> Widths:
    found = job().widths
    assert found is not None
    return found


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    dataset = few_digits()
    return torch.from_numpy(dataset.normalise(dataset.train.images[:16])), torch.from_numpy(dataset.train.labels[:16])


def test_weights_are_shared_and_everything_else_is_not():
    module = widths()
    seen = [dict(module.networks[str(bits)].named_parameters()) for bits in module.bits]
    shared = [key for key in seen[0] if all(seen[0][key] is other.get(key) for other in seen[1:])]
    assert {key.rsplit(".", 1)[-1] for key in shared} == {"original", "clip", "step"}
    assert all(".weight" in key for key in shared)
    own = set(seen[1]) - set(shared)
    assert own
    assert not any(seen[1][key] is seen[2].get(key) for key in own)


def test_use_chooses_the_network_and_names_those_there_are():
    module, (x, _) = widths().eval(), batch()
    outputs = []
    for bits in module.bits:
        module.use(bits)
        outputs.append(module(x))
    assert not torch.equal(outputs[0], outputs[1])
    module.use(8)
    assert torch.equal(module(x), outputs[0])
    with pytest.raises(QuantizerError, match="3 bits; there are 8, 4, 2"):
        module.use(3)


def test_a_residual_network_is_a_chain_of_its_blocks():
    torch.manual_seed(0)
    x = torch.randn(8, 3, 16, 16)
    made = prepare(ResNetCifar(8).eval(), parse_recipe(RECIPE, {}), x[:2], x).widths
    assert made is not None
    made.eval()
    for graph, parts in zip(made.graphs.values(), chains(list(made.graphs.values())), strict=True):
        value = x
        for part in parts:
            value = part(value)
        assert torch.equal(value, graph.module(x))
        assert len(parts) == 5  # stem, three blocks of two layers, classifier


@pytest.mark.parametrize("swap", [1.0, 0.0])
def test_a_student_of_swapped_blocks_alone_is_its_teacher_and_of_none_itself(swap):
    module, (x, labels) = widths(), batch()
    module.eval()
    collaboration = Collaboration(module, replace(SETTINGS, swap=swap, distill=0.0, width_teacher="highest"), None)
    logits = [collaboration._mixed(x, student, 0, [swap == 1.0] * len(collaboration.forwards[0])) for student in (0, 1)]
    own = [module.networks[str(bits)](x) for bits in module.bits[:2]]
    assert torch.equal(logits[0], own[0])
    assert torch.equal(logits[1], own[0] if swap else own[1])
    assert torch.isfinite(collaboration(x, labels, None, 0.5))


def test_statistics_follow_the_own_pass_only():
    module, (x, labels) = widths(), batch()
    module.train()
    settings = replace(SETTINGS, distill=0.0, width_teacher="highest")
    states = []
    for swap in (0.0, 1.0):
        torch.manual_seed(0)
        other = widths().train()
        Collaboration(other, replace(settings, swap=swap), None)(x, labels, None, 1e-9).backward()
        states.append({k: v for k, v in other.networks["8"].state_dict().items() if "running" in k})
    assert states[0]
    assert same(states[0], states[1])  # the student's pass through the teacher's blocks left them alone


def test_who_teaches():
    settings = replace(SETTINGS, distill=0.5)
    chosen = {
        word: [Collaboration(widths(), replace(settings, width_teacher=word), None)._teacher(student, [0.3, 0.1, 0.9])
               for student in (1, 2)]
        for word in ("best", "highest", "next")
    }  # fmt: skip
    assert chosen == {"best": [0, 1], "highest": [0, 0], "next": [0, 1]}


def test_training_lowers_every_loss_and_goes_on_with_the_same_bits(tmp_path):
    settings = replace(SETTINGS, epochs=2, swap=0.5, last_stage_epochs=0, evaluate_every=1)
    done = job()
    train(done.module, few_digits(), settings, tmp_path / "whole", teacher=done.original.module)
    records = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert {"val_top1", "val_top1_8", "val_top1_4", "val_top1_2"} <= set(records[-1])
    assert records[-1]["loss"] < records[0]["loss"]

    def stop(record):
        if record["event"] == "epoch":
            raise KeyboardInterrupt

    part, resumed = job(), job()
    with pytest.raises(KeyboardInterrupt):
        train(part.module, few_digits(), settings, tmp_path / "part", teacher=part.original.module, on_progress=stop)
    train(resumed.module, few_digits(), settings, tmp_path / "part", teacher=resumed.original.module, resume=True)
    assert same(checkpoint(tmp_path / "whole")["module"], checkpoint(tmp_path / "part")["module"])


def test_one_width_alone_is_refused():
    graphs = job().widths.graphs  # type: ignore[union-attr]
    with pytest.raises(QuantizerError, match="several bit-widths"):
        Widths({8: graphs[8]})
