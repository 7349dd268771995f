"""A training that is taught by another network than the float one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kompakt._core.errors import RecipeError
from kompakt.data import Dataset, Preparation, Split, digits
from kompakt.strategy import run_recipe, teacher
from kompakt.strategy.recipe import parse_recipe
from kompakt.strategy.sources import ModelSource
from kompakt.strategy.teacher import load_teacher
from kompakt.zoo import DigitsNet

EXAMPLE = torch.zeros(2, 1, 8, 8)
NETS = """
import torch
from torch import nn
from kompakt.zoo import DigitsNet

class Always(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.count = count

    def forward(self, x):
        return 20.0 * torch.eye(self.count)[3].expand(len(x), self.count)

def student():
    torch.manual_seed(0)
    return DigitsNet(8)

def always_three():
    return Always(10)

def seven_classes():
    return Always(7)

def three_colours():
    return nn.Sequential(nn.Conv2d(3, 10, 8), nn.Flatten())
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    return path


def _student() -> ModelSource:
    return ModelSource(DigitsNet(8), "student")


def test_the_network_learns_what_the_teacher_says(nets: Path, tmp_path: Path) -> None:
    """With `distill = 1` labels do not count: taught by a network that always answers 3, it answers 3."""
    raw = {
        "version": 1, "name": "taught", "model": {"source": f"{nets}:student"}, "data": {"source": "digits"},
        "stage": [{"kind": "quantize", "method": "lsq", "weight_bits": 4, "activation_bits": 4}],
        "train": {
            "epochs": 2, "batch_size": 64, "compile": False, "bf16": False, "lr": 0.05, "last_stage_epochs": 0,
            "distill": 1.0, "teacher": f"{nets}:always_three",
        },
    }  # fmt: skip
    small = run_recipe(parse_recipe(raw, {}), tmp_path / "run")
    answers = small.engine().run(digits().normalise(digits().test.images)).argmax(1)
    assert (answers == 3).mean() > 0.99
    assert small.result["float"]["top1"] > 0, "the yardstick stays the float network"


def test_a_pretrained_teacher_gets_the_pixels_as_it_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels p enter the student as (p / 255 - mean) / std; the teacher must see (p / 127.5 - 1) / 0.5."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 4), np.uint8)
    split = Split(pixels, np.zeros(6, np.int64))
    data = Dataset("pixels", split, split, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), scale=1 / 255)
    own = Preparation(mean=(1.0,), std=(0.5,), scale=1 / 127.5)
    _loads(monkeypatch, ModelSource(nn.Flatten(), "zoo:other", preparation=own))
    student = ModelSource(nn.Flatten(), "student")
    found = load_teacher("zoo:other", student, data, torch.zeros(2, 3, 4, 4))(torch.from_numpy(data.normalise(pixels)))
    expected = (pixels.reshape(6, -1) / 127.5 - 1) / 0.5
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_floats_go_to_the_teacher_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(6, 1, 8, 8)
    split = Split(x.numpy(), np.zeros(6, np.int64))
    data = Dataset("floats", split, split, (0.0,), (1.0,))
    net = DigitsNet(8).eval()
    _loads(monkeypatch, ModelSource(net, "zoo:other", preparation=Preparation(mean=(1.0,), std=(0.5,))))
    assert torch.equal(load_teacher("zoo:other", _student(), data, EXAMPLE)(x), net(x))


def test_a_teacher_that_does_not_fit_is_refused(nets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = digits()
    with pytest.raises(RecipeError, match=r"seven_classes answers \(2, 7\), the network \(2, 10\)"):
        load_teacher(f"{nets}:seven_classes", _student(), data, EXAMPLE)
    with pytest.raises(RecipeError, match=r"three_colours does not take input \(2, 1, 8, 8\)"):
        load_teacher(f"{nets}:three_colours", _student(), data, EXAMPLE)
    with pytest.raises(RecipeError, match="zoo:resnet18 has random weights; name a trained network"):
        load_teacher("zoo:resnet18", _student(), data, EXAMPLE)
    _loads(monkeypatch, replace(_student(), preparation=Preparation(is_bgr=True)))
    with pytest.raises(RecipeError, match="images or classes in another order"):
        load_teacher("zoo:other", _student(), data, EXAMPLE)


def test_a_teacher_needs_a_share_of_the_loss() -> None:
    stage = {"kind": "quantize", "method": "lsq", "weight_bits": 4, "activation_bits": 4}
    raw = {"version": 1, "name": "r", "stage": [stage]}
    with pytest.raises(RecipeError, match="teacher 'zoo:other' has no say where distill is 0"):
        parse_recipe(raw, {"train.teacher": "zoo:other", "train.distill": 0.0})
    taught, alone = parse_recipe(raw, {"train.teacher": "zoo:other"}), parse_recipe(raw, {})
    assert taught.fingerprint() != alone.fingerprint()


def _loads(monkeypatch: pytest.MonkeyPatch, found: ModelSource) -> None:
    monkeypatch.setattr(teacher, "load_model", lambda source: found)
