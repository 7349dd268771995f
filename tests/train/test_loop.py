"""The training loop: what is trained and what is not, schedules, and errors that say where."""

from __future__ import annotations

import errno
import math
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from kompakt._core.errors import DataError, StorageError, TrainingError
from kompakt.data import Dataset, Split
from kompakt.graph import trace
from kompakt.quant import Quantizer
from kompakt.quant.attach import attach, calibrate
from kompakt.train import TrainSettings, accuracy, predict, train
from kompakt.train.optimizer import learning_rate, make_optimizer
from support.quantized import layer
from support.training import SETTINGS, checkpoint, few_digits, float_net, metrics, quantized_net, run


def test_the_teacher_and_the_float_net_are_left_alone(tmp_path):
    net, dataset = float_net().train(), few_digits()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    module = quantized_net(net)
    train(module, dataset, replace(SETTINGS, epochs=1), tmp_path, teacher=net)
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in state.items())
    assert net.training
    assert all(p.requires_grad and p.grad is None for p in net.parameters())


def test_training_learns(tmp_path):
    dataset = few_digits()
    module = float_net()
    before = accuracy(predict(module, dataset, dataset.train), dataset.train.labels)
    train(module, dataset, replace(SETTINGS, epochs=8, lr=0.1, distill=0.0), tmp_path)
    assert accuracy(predict(module, dataset, dataset.train), dataset.train.labels) > before + 30
    losses = [record["loss"] for record in metrics(tmp_path) if record["event"] == "epoch"]
    assert losses[-1] < 0.8 * losses[0]


def test_every_quantizer_finishes_in_the_last_stage(tmp_path):
    module = run(tmp_path, epochs=2, last_stage_epochs=1)
    rules = [m.rule for m in module.modules() if isinstance(m, Quantizer)]
    assert all(getattr(rule, "snapped", True) for rule in rules)
    other = run(tmp_path / "none", epochs=1, last_stage_epochs=0)
    assert not any(getattr(m.rule, "snapped", False) for m in other.modules() if isinstance(m, Quantizer))


def test_steps_stay_positive_during_training(tmp_path):
    net, dataset = float_net(), few_digits()
    graph = trace(net, torch.zeros(2, 1, 8, 8))
    graph = attach(graph, {str(n.target): layer("lsq2", "lsq2") for n in graph.layers()}, None)
    calibrate(graph, torch.from_numpy(dataset.normalise(dataset.train.images[:64])))
    train(graph.module, dataset, replace(SETTINGS, epochs=1, lr=5.0), tmp_path, teacher=net)
    steps = [p for name, p in graph.module.named_parameters() if name.endswith("step")]
    assert len(steps) == 10
    assert all((step > 0).all() for step in steps)


class Poisoned(nn.Module):
    """Gives NaN from the `after`-th training batch on."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.net, self.left = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), after

    def forward(self, x):
        self.left -= self.training
        return self.net(x) * (math.nan if self.left < 0 else 1.0)


@pytest.mark.parametrize(("after", "epoch", "step"), [(0, 0, 1), (3, 0, 4), (7, 1, 3)])
@pytest.mark.parametrize("checkpoint_s", [1e-9, 1e9])
def test_a_loss_that_is_no_number_names_epoch_and_step(tmp_path, after, epoch, step, checkpoint_s):
    settings = replace(SETTINGS, distill=0.0, checkpoint_s=checkpoint_s)
    with pytest.raises(TrainingError, match=rf"loss is nan at epoch {epoch}, step {step}; lower \[train\] lr"):
        train(Poisoned(after), few_digits(), settings, tmp_path)
    if (tmp_path / "checkpoint.pt").exists():
        state = checkpoint(tmp_path)["module"]
        assert all(torch.isfinite(value).all() for value in state.values()), "a lost state must not be saved"


def test_a_report_every_twenty_steps_and_every_epoch(tmp_path):
    records = []
    train(float_net(), few_digits(), replace(SETTINGS, epochs=1, batch_size=4, distill=0.0), tmp_path,
          on_progress=records.append)  # fmt: skip
    assert [(r["event"], r.get("step")) for r in records] == [("step", 20), ("step", 40), ("epoch", None)]
    assert records[0]["steps"] == 40
    assert records[0]["eta_s"] == pytest.approx(records[0]["seconds"], rel=1e-6)


def test_checkpoints_of_other_settings_are_refused(tmp_path):
    run(tmp_path, epochs=1)
    with pytest.raises(TrainingError, match="other settings; use another output folder"):
        train(float_net(), few_digits(), replace(SETTINGS, distill=0.0), tmp_path, resume=True, fingerprint="another")


def test_checkpoints_of_other_networks_are_refused(tmp_path):
    run(tmp_path, epochs=1)
    with pytest.raises(TrainingError, match="does not fit this network"):
        train(float_net(), few_digits(), replace(SETTINGS, distill=0.0), tmp_path, resume=True, fingerprint="tiny")


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no zip", b"\x80\x04N."])
def test_damaged_checkpoints_are_refused(tmp_path, damage):
    (tmp_path / "checkpoint.pt").write_bytes(damage)
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: no readable checkpoint .*delete it"):
        run(tmp_path, resume=True)


def test_truncated_checkpoints_are_refused(tmp_path):
    run(tmp_path, epochs=1)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TrainingError, match="no readable checkpoint"):
        run(tmp_path, resume=True)


@pytest.mark.parametrize("content", [[1, 2], {"module": {}}, {}])
def test_other_files_of_torch_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match="no checkpoint of a training run"):
        run(tmp_path, resume=True)


def test_a_lost_log_is_not_filled_with_zeros(tmp_path):
    run(tmp_path, epochs=1)
    (tmp_path / "metrics.jsonl").unlink()
    run(tmp_path, resume=True, epochs=2, module=quantized_net(float_net()))
    assert [record["epoch"] for record in metrics(tmp_path) if record["event"] == "epoch"] == [2]


class Captured(nn.Module):
    """Holds a quantized network, but runs what was captured before."""

    def __init__(self) -> None:
        super().__init__()
        net = float_net()
        self.quantized, self.captured = quantized_net(net), net

    def forward(self, x):
        return self.captured(x)


def test_a_network_that_was_captured_before_its_quantizers_is_not_trained(tmp_path):
    with pytest.raises(TrainingError, match=r"^quantized\..*step: no gradient arrives"):
        train(Captured(), few_digits(), replace(SETTINGS, distill=0.0), tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"metrics\.jsonl: cannot be written"):
        run(tmp_path / "file" / "run", epochs=1)


@pytest.mark.parametrize("count", [1, 4, 11])
def test_a_full_disk_leaves_the_last_good_state(tmp_path, monkeypatch, count):
    """The `count`-th flush to disk fails: the file and its needed bytes are named, nothing half is left."""
    left, plain = [count], os.fsync

    def fsync(descriptor):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match=r"checkpoint\.pt: cannot write \d+ bytes \(No space left on device\)"):
        run(tmp_path)
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")] == []
    assert (tmp_path / "checkpoint.pt").exists() == (count > 1)
    if count > 1:
        monkeypatch.undo()
        run(tmp_path, resume=True, module=quantized_net(float_net()))
        assert checkpoint(tmp_path)["progress"]["epoch"] == SETTINGS.epochs


def test_distillation_needs_a_teacher(tmp_path):
    with pytest.raises(TrainingError, match=r"distill = 0\.5 needs the float model"):
        train(float_net(), few_digits(), SETTINGS, tmp_path)


def test_labels_outside_the_outputs(tmp_path):
    dataset = few_digits()
    wrong = replace(dataset, train=Split(dataset.train.images, dataset.train.labels + 3))
    with pytest.raises(TrainingError, match=r"labels are 3\.\.12, outputs have shape \(1, 10\)"):
        train(float_net(), wrong, replace(SETTINGS, distill=0.0), tmp_path)


def test_images_that_the_network_does_not_take(tmp_path):
    split = Split(np.zeros((40, 3, 8, 8), np.uint8), np.zeros(40, np.int64))
    dataset = Dataset("colour", split, split, (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(TrainingError, match=r"does not run on images of shape \(1, 3, 8, 8\)"):
        train(float_net(), dataset, replace(SETTINGS, distill=0.0), tmp_path)


def test_features_are_trained_as_well(tmp_path):
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 6)).astype(np.float32)
    split = Split(features, (features[:, 0] > 0).astype(np.int64))
    dataset = Dataset("features", split, split, (0.0,) * 6, (1.0,) * 6)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    train(net, dataset, replace(SETTINGS, epochs=10, lr=0.1, distill=0.0), tmp_path)
    assert accuracy(predict(net, dataset, split), split.labels) > 90


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": "adamw"}, "optimizer must be one of sgd, adam, shift_adamax, got 'adamw'"),
        ({"schedule": "step"}, "schedule must be one of cosine, constant"),
        ({"lr": 0.0}, "lr must be more than 0, got 0.0"),
        ({"lr": math.nan}, "lr must be more than 0, got nan"),
        ({"epochs": -1}, "epochs must be 0 or more, got -1"),
        ({"batch_size": 0}, "batch_size must be more than 0"),
        ({"distill": 1.5}, "distill is at most 1"),
        ({"momentum": 1.0}, "momentum below 1"),
    ],
)
def test_settings_that_make_no_sense(changes, words):
    with pytest.raises(TrainingError, match=words):
        TrainSettings(**changes)


def test_cosine_schedule():
    settings = TrainSettings(epochs=10, lr=0.4)
    assert learning_rate(settings, 0) == pytest.approx(0.4)
    assert learning_rate(settings, 5) == pytest.approx(0.2)
    assert learning_rate(settings, 2.5) == pytest.approx(0.2 * (1 + math.cos(math.pi / 4)))
    assert learning_rate(settings, 10) == pytest.approx(0.0)
    assert learning_rate(settings, 11) == pytest.approx(0.0)


def test_warmup_rises_from_zero_to_the_peak():
    settings = TrainSettings(epochs=10, lr=0.4, warmup_epochs=2)
    rates = [learning_rate(settings, e) for e in (0, 0.5, 1, 2, 6, 10)]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.4, 0.2, 0.0])


def test_constant_schedule():
    settings = TrainSettings(epochs=10, lr=0.4, schedule="constant", warmup_epochs=1)
    assert [learning_rate(settings, e) for e in (0.5, 1, 9.9)] == pytest.approx([0.2, 0.4, 0.4])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weight_decay_is_for_weights_of_layers_alone(optimizer):
    module = quantized_net(float_net())
    groups = make_optimizer(module, TrainSettings(optimizer=optimizer, weight_decay=0.1)).param_groups
    names = {id(p): name for name, p in module.named_parameters()}
    decayed, free = ([names[id(p)] for p in group["params"]] for group in groups)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert len(decayed) == 5
    assert all(name.endswith("weight.original") for name in decayed)
    assert {name.split(".")[-1] for name in free} == {"weight", "bias", "step"}
    assert len(decayed) + len(free) == len(names)
    assert not any("basis" in name for name in names.values())


def test_sgd_has_nesterov_momentum_and_adam_takes_no_momentum():
    module = float_net()
    sgd = make_optimizer(module, TrainSettings(momentum=0.8)).param_groups[0]
    assert (sgd["momentum"], sgd["nesterov"]) == (0.8, True)
    plain = make_optimizer(module, TrainSettings(momentum=0.0)).param_groups[0]
    assert (plain["momentum"], plain["nesterov"]) == (0.0, False)
    assert isinstance(make_optimizer(module, TrainSettings(optimizer="adam")), torch.optim.Adam)


def test_prediction_is_in_evaluation_mode_and_keeps_every_mode():
    dataset = few_digits()
    net = float_net().train()
    net.features[1].eval()
    modes = [m.training for m in net.modules()]
    whole = predict(net, dataset, dataset.test)
    assert [m.training for m in net.modules()] == modes
    np.testing.assert_allclose(predict(net, dataset, dataset.test, batch_size=7), whole, rtol=1e-5, atol=1e-6)
    assert whole.dtype == np.float32
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(dataset.normalise(dataset.test.images))).numpy()
    np.testing.assert_allclose(whole, expected, rtol=1e-5, atol=1e-6)


def test_prediction_of_nothing():
    dataset = few_digits()
    with pytest.raises(DataError, match="no image"):
        predict(float_net(), dataset, dataset.test.head(0))


def test_accuracy_is_in_percent():
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 2.0], [0.0, 9.0]])
    assert accuracy(logits, np.array([0, 1, 1, 1])) == 75.0
