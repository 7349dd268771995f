"""Training a model of the next word: labels of every step, steps without one, a measure in bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kompakt._core.errors import TrainingError
from kompakt.data import NO_LABEL, Dataset, Split, batch_size_of, judged, quality
from kompakt.data.words import word_dataset
from kompakt.train import TrainSettings, predict, score, train
from kompakt.zoo.recurrent import WordModel
from support.training import checkpoint, metrics, same

WORDS = 7
SETTINGS = TrainSettings(
    epochs=6, batch_size=8, optimizer="adam", lr=0.02, distill=0.0, last_stage_epochs=0, evaluate_every=3, bf16=False,
    compile=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Words that follow each other by a rule, but for every eighth."""
    rng = np.random.default_rng(0)
    ids = [0]
    for _ in range(5_000):
        ids.append(int(rng.integers(WORDS)) if rng.random() < 0.125 else (3 * ids[-1] + 1) % WORDS)
    text = [str(i) for i in ids]
    return word_dataset("rule", text[:4_000], text[4_000:])


def net(layer: str = "lstm") -> WordModel:
    torch.manual_seed(3)
    return WordModel(layer, WORDS, 12, 0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("layer", ["lstm", "gru"])
def test_a_rule_is_learned_and_measured_in_bits(data, tmp_path, layer):
    module = net(layer)
    assert abs(score(module, data, data.test)["bits"] - np.log2(WORDS)) < 0.3
    train(module, data, SETTINGS, tmp_path)
    found = score(module, data, data.test)
    assert found["top1"] > 80
    assert found["bits"] < 1.4  # the rule and its exceptions: about 1 bit
    assert metrics(tmp_path)[-1] | {"val_top1": found["top1"], "val_bits": found["bits"]} == metrics(tmp_path)[-1]


def test_a_score_in_batches_is_that_of_all_outputs_at_once(data, monkeypatch):
    module = net()
    rows = judged(predict(module, data, data.test), data.test)
    expected = quality(rows, data.test.labels[data.test.labels != NO_LABEL], data.test)
    monkeypatch.setattr("kompakt.data.judging.OUTPUT_VALUES", 64 * WORDS * 3)
    assert batch_size_of(data.test) == 3
    assert score(module, data, data.test) == pytest.approx(expected)


def test_steps_without_a_label_give_no_gradient(data, tmp_path):
    """One step of plain descent, beside the gradient of the judged steps alone."""
    split = data.test.head(4)
    few = replace(data, train=split, test=split)
    module, expected = net(), net()
    settings = replace(
        SETTINGS, epochs=1, batch_size=4, optimizer="sgd", momentum=0.0, lr=0.5, schedule="constant", weight_decay=0.0
    )
    train(module.requires_grad_(True), few, settings, tmp_path)
    torch.manual_seed(settings.seed)  # the same words are dropped out
    order = torch.randperm(4, generator=torch.Generator().manual_seed(0))
    x, labels = torch.from_numpy(split.images)[order], torch.from_numpy(split.labels)[order]
    loss = F.cross_entropy(expected.train()(x)[labels != NO_LABEL], labels[labels != NO_LABEL])
    gradient = torch.autograd.grad(loss, expected.decoder.bias)[0]
    torch.testing.assert_close(module.decoder.bias, expected.decoder.bias - 0.5 * gradient)


def test_an_interrupted_run_goes_on_with_the_same_bits(data, tmp_path):
    train(net(), data, SETTINGS, tmp_path / "whole")
    cut = tmp_path / "cut"
    seen = []

    def stop(record: dict[str, object]) -> None:
        seen.append(record)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(net(), data, SETTINGS, cut, on_progress=stop)
    train(net(), data, SETTINGS, cut, resume=True)
    assert same(checkpoint(cut), checkpoint(tmp_path / "whole"))


def test_labels_that_are_no_word_are_refused(data, tmp_path):
    labels = data.train.labels.copy()
    labels[0, 0] = WORDS
    with pytest.raises(TrainingError, match=r"labels are -1\.\.7, outputs have shape \(1, 64, 7\)"):
        train(net(), replace(data, train=Split(data.train.images, labels)), SETTINGS, tmp_path)
