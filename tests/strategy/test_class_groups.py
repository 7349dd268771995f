"""Groups of classes, their accuracies, and the search for the fewest bits in the engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kompakt._core.errors import DataError, RecipeError
from kompakt.cli.app import cli
from kompakt.strategy.class_groups import (
    GroupResult,
    class_groups,
    group_accuracy,
    judge,
    search_groups,
    smallest_bits,
    within_accuracy,
)

ROWS = np.array([[1.0, 0.1], [0.0, 1.0], [0.9, 0.0], [0.1, 2.0], [-1.0, -1.0]])

USER = """
import numpy as np, torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(8, 6)).eval()

def data():
    images = np.random.default_rng(0).standard_normal((80, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        labels = build()(torch.from_numpy(images)).argmax(1).numpy()
    return (images, labels), (images, labels)

def samples():
    return np.zeros((80, 1, 8, 8), np.float32)
"""


@pytest.fixture
def user(tmp_path: Path) -> Path:
    path = tmp_path / "user.py"
    path.write_text(USER)
    return path


def test_like_rows_come_together_whatever_their_length():
    assert class_groups(ROWS, 3).tolist() == [0, 1, 0, 1, 2]
    assert class_groups(ROWS, 5).tolist() == [0, 1, 2, 3, 4]
    assert class_groups(ROWS, 1).tolist() == [0] * 5
    for count in (0, 6):
        with pytest.raises(RecipeError, match=f"groups: expected 1 to 5, the number of classes, got {count}"):
            class_groups(ROWS, count)


def test_a_group_scores_the_sum_of_its_probabilities():
    """Two classes of 0.3 and 0.3 beat one of 0.4."""
    logits, groups = np.log([[0.3, 0.4, 0.3]]), np.array([0, 1, 0])
    assert group_accuracy(logits, np.array([0]), groups) == 100
    assert group_accuracy(logits, np.array([1]), groups) == 0
    assert within_accuracy(logits, np.array([1]), groups) == 100
    assert group_accuracy(logits + 1e4, np.array([2]), groups) == 100


def test_groups_of_one_class_are_the_classes():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((200, 5)), rng.integers(0, 5, 200)
    result = judge(logits, labels, np.arange(5), 4)
    assert result.group == result.random == result.top1
    assert result.within == 100
    whole = judge(logits, labels, np.zeros(5, np.int64), 4)
    assert whole.group == whole.random == 100
    assert whole.within == whole.top1


def test_the_fewest_bits_are_those_within_the_tolerance():
    results = [GroupResult(b, t, 0, 0, 0) for b, t in ((None, 90.0), (8, 90.0), (4, 89.2), (3, 88.0), (2, 40.0))]
    assert smallest_bits(results, "top1", 1.0) == 4
    assert smallest_bits(results, "top1", 2.0) == 3
    assert smallest_bits(results[:1], "top1", 1.0) is None


def test_the_search_runs_every_width_in_the_engine(user):
    found = search_groups(f"{user}:build", f"{user}:data", "w4a8", 3, (2, 8), 1.0)
    assert sorted(c for group in found["groups"] for c in group) == list(range(6))
    assert [result["bits"] for result in found["results"]] == [None, 2, 8]
    assert found["results"][0]["top1"] == 100
    assert found["results"][2]["top1"] >= 97
    assert all(result["group"] >= result["top1"] - 1e-9 or result["bits"] == 2 for result in found["results"])
    assert found["fewest"]["top1"] == 8 or found["results"][1]["top1"] >= 99


def test_groups_need_labels_and_a_classifier(user):
    with pytest.raises(DataError, match="need one label for every image"):
        search_groups(f"{user}:build", f"{user}:samples", "w4a8", 3, (4,), 1.0)


@pytest.mark.parametrize("arguments", [["groups", "{}:build", "--data", "{}:data", "--groups", "2", "--bits", "4"],
                                       ["schemes", "{}:build", "--input", "1,1,8,8", "--bits", "2,4"]])  # fmt: skip
def test_the_commands(user, arguments):
    run = CliRunner().invoke(cli, [argument.format(user) for argument in arguments])
    assert run.exit_code == 0, run.output
    assert "4" in run.output
