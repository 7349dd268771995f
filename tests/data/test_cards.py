"""Cards of pretrained networks, and the folder that they lie in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kompakt import DataError
from kompakt.data import card, locate, pretrained_folder


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOMPAKT_DATA", str(tmp_path))
    (tmp_path / "models" / "cifar10-resnet20").mkdir(parents=True)
    return tmp_path / "models"


def test_a_card_is_read(models: Path) -> None:
    (models / "cifar10-resnet20" / "card.json").write_text(json.dumps({"input": {"shape": [3, 32, 32]}}))
    assert card("cifar10-resnet20")["input"]["shape"] == [3, 32, 32]
    assert pretrained_folder("cifar10-resnet20") == models / "cifar10-resnet20"


def test_a_network_that_is_not_there_names_its_neighbours(models: Path) -> None:
    with pytest.raises(DataError, match=r"resnet-20: not found .*KOMPAKT_DATA.* did you mean 'cifar10-resnet20'"):
        card("cifar10-resnet-20")


@pytest.mark.parametrize("name", ["../secret", "", ".", "a/b", "a\\b", "..", "a b"])
def test_names_cannot_leave_the_folder(models: Path, name: str) -> None:
    with pytest.raises(DataError, match="a name holds letters"):
        pretrained_folder(name)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "readable JSON"), ("[]", "JSON object, got list"), (None, "readable")]
)
def test_damaged_cards(models: Path, text: str | None, words: str) -> None:
    if text is not None:
        (models / "cifar10-resnet20" / "card.json").write_text(text)
    with pytest.raises(DataError, match=words):
        card("cifar10-resnet20")


def test_every_searched_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KOMPAKT_DATA", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with pytest.raises(DataError) as caught:
        locate("data/no-such-set")
    assert str(tmp_path / "shared") in str(caught.value)
