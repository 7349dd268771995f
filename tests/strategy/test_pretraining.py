"""Float training from random weights as the first part of a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import kompakt as kp
from kompakt._core.errors import RecipeError
from kompakt.data.words import word_dataset
from kompakt.strategy.recipe import parse_recipe
from kompakt.strategy.runfolder import recipe_toml
from kompakt.strategy.sources import load_model
from kompakt.zoo.recurrent import WordModel

WORDS = 9
BRIEF = {"batch_size": 8, "optimizer": "adam", "bf16": False, "compile": False, "weight_decay": 0.0}
RAW = {
    "version": 1, "name": "words",
    "stage": [{"kind": "quantize", "method": "lsq", "weight_bits": 4, "activation_bits": 4, "first_last": 4}],
    "pretrain": {**BRIEF, "epochs": 25, "lr": 0.03},
    "train": {**BRIEF, "epochs": 8, "lr": 0.01, "distill": 0.0, "last_stage_epochs": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def small() -> kp.Compressed:
    text = [str(i * i % WORDS) for i in range(2_600)]
    data = word_dataset("squares", text[:1_900], text[1_900:])
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="30 samples set the ranges"):
        return kp.compress(WordModel("lstm", WORDS, 16), parse_recipe(RAW, {}), data=data)


def test_the_float_network_is_the_trained_one(small: kp.Compressed) -> None:
    assert small.result["float"]["bits"] < 1 < np.log2(WORDS)


def test_a_word_model_of_4_bits_runs_in_the_engine_as_it_was_trained(small: kp.Compressed) -> None:
    engine = small.result["engine"]
    assert engine["bits"] == pytest.approx(small.result["fake_quant"]["bits"], abs=0.01)
    assert engine["bits"] < 1.2
    assert engine["bit_equal_to_reference"]["equal"]
    assert engine["images"] == 699, "every word of the test text but the first"
    assert {layer["weight_bits"] for layer in small.result["layers"]} == {4}


def test_the_fingerprint_of_float_training_leaves_the_quantizers_out() -> None:
    base = parse_recipe(RAW, {})
    assert parse_recipe(RAW, {"stage.weight_bits": 2}).float_fingerprint() == base.float_fingerprint()
    for change in ({"pretrain.lr": 0.5}, {"seed": 1}):
        other = parse_recipe(RAW, change)
        assert other.float_fingerprint() != base.float_fingerprint()
        assert other.fingerprint() != base.fingerprint()


def test_the_recipe_of_a_run_can_be_read_back(tmp_path: Path) -> None:
    recipe = parse_recipe(RAW, {})
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_toml(recipe))
    assert kp.load_recipe(path) == recipe


@pytest.mark.parametrize(
    ("change", "words"),
    [({"pretrain.distill": 0.5}, "unknown key 'pretrain.distill'"), ({"pretrain.epochs": -1}, "pretrain.epochs")],
)
def test_float_training_has_no_settings_of_quantizers(change: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse_recipe(RAW, change)


@pytest.mark.parametrize("layer", ["lstm", "gru"])
def test_the_recipes_of_the_treebank_are_for_networks_that_are_there(layer: str) -> None:
    recipe = kp.load_recipe(Path(__file__).parents[2] / f"recipes/ptb-{layer}-lsq-w4a4.toml")
    model = load_model(recipe.model.source)
    assert (model.is_trained, model.tokens) == (False, 10_000)
    assert json.loads(json.dumps(recipe.model_dump()))["pretrain"]["epochs"] > 0
