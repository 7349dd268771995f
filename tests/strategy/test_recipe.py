"""Recipes: what is impossible is refused before any work, with the key and the nearest valid names."""

from __future__ import annotations

import copy

import pytest

from kompakt._core.errors import RecipeError
from kompakt.strategy.recipe import Recipe, builtin_recipes, load_recipe, matching, parse_recipe

RAW = {"name": "r", "stage": [{"kind": "quantize", "method": "lq_nets"}]}
OVERRIDES = [{"layers": "a*", "weight_bits": 3}, {"layers": "b", "method": "lsq", "weight_bits": 8}]


def with_overrides() -> dict:
    raw = copy.deepcopy(RAW)
    raw["stage"][0]["override"] = copy.deepcopy(OVERRIDES)
    return raw


def refused(settings: dict[str, object], *words: str, raw: dict | None = None) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(RAW if raw is None else raw, settings, "my.toml")
    text = str(caught.value)
    assert text.startswith("my.toml: ")
    assert "\n" not in text
    for word in words:
        assert word in text, f"{word!r} not in {text!r}"


def test_a_small_recipe_has_sensible_defaults():
    recipe = parse_recipe(RAW, {})
    stage = recipe.stage[0]
    assert (stage.weight_bits, stage.activation_bits, stage.first_last, stage.residual_bits) == (2, 2, 8, 8)
    assert recipe.folder().as_posix() == "runs/r"
    assert recipe.train_settings().seed == recipe.seed == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trian.epochs": 3}, ("unknown key 'trian'", "did you mean 'train'")),
        ({"train.epoch": 3}, ("unknown key 'train.epoch'", "did you mean 'epochs'")),
        ({"stage.weight_bit_width": 4}, ("unknown key 'stage.0.weight_bit_width'", "did you mean 'weight_bits'")),
        ({"stage.method": "lqnets"}, ("stage.0: ", "'lqnets'", "did you mean 'lq_nets'")),
        ({"stage.method": 3}, ("stage.0.method: ", "string", "got 3")),
        ({"stage.weight_bits": 0}, ("stage.0: weight_bits must be one of (1, 2, 3, 4)", "'lq_nets'", "got 0")),
        ({"stage.weight_bits": 7}, ("bits must be one of (1, 2, 3, 4)", "got 7")),
        ({"stage.activation_bits": -1}, ("bits must be one of", "got -1")),
        ({"stage.weight_bits": "int4"}, ("stage.0.weight_bits: ", 'a whole number or "float"', "'int4'")),
        ({"stage.weight_bits": True}, ("stage.0.weight_bits: ", "True")),
        ({"stage.weight_bits": 2.5}, ("stage.0.weight_bits: ", "2.5")),
        ({"stage.first_last": 1}, ("stage.0.first_last: ", "got 1")),
        ({"stage.kind": "prune"}, ("stage.0.kind: ", "'quantize'", "'prune'")),
        ({"train.epochs": "many"}, ("train.epochs: ", "integer", "'many'")),
        ({"train.epochs": -1}, ("train.epochs: ", "greater than or equal to 0", "-1")),
        ({"train.lr": 0}, ("train.lr: ", "greater than 0")),
        ({"train.distill": 1.5}, ("train.distill: ", "less than or equal to 1", "1.5")),
        ({"train.optimizer": "adamw"}, ("train.optimizer: ", "'adam' or 'shift_adamax'", "'adamw'")),
        ({"data.calibration": 0}, ("data.calibration: ",)),
        ({"name": "../up"}, ("name: ", "'../up'")),
        ({"version": 2}, ("version: ", "got 2")),
        ({"seed": -1}, ("seed: ",)),
        ({"protocol": "magic"}, ("protocol: ", "'short'", "'magic'")),
        ({"name.x": 1}, ("name.x: name is a value, not a table",)),
        ({"stage.3.method": "lsq"}, ("stage.3.method: there is no entry 3, stage has 1",)),
        ({"stage.method.x": 1}, ("method is a value, not a table",)),
    ],
)
def test_impossible_settings(settings, words):
    refused(settings, *words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stage.override.method": "lsq"}, ("stage.override has 2 entries; say which: stage.override.0",)),
        ({"stage.override.2.method": "lsq"}, ("there is no entry 2, stage.override has 2",)),
        ({"stage.override.1.weight_bits": 9}, ("stage.0.override.1: ", "bits must be one of", "got 9")),
        ({"stage.override.0.layer": "c"}, ("unknown key 'stage.0.override.0.layer'", "did you mean 'layers'")),
        ({"stage.override.0.method": "lsk"}, ("'lsk'", "did you mean 'lsq'")),
    ],
)
def test_impossible_settings_of_overrides(settings, words):
    refused(settings, *words, raw=with_overrides())


@pytest.mark.parametrize("missing", ["name", "stage"])
def test_missing_keys(missing):
    refused({}, f"key '{missing}' is missing", raw={key: value for key, value in RAW.items() if key != missing})


def test_two_stages_are_refused():
    refused({}, "stage: ", "at most 1", raw={"name": "r", "stage": RAW["stage"] * 2})


def test_settings_reach_tables_lists_and_numbered_entries():
    recipe = parse_recipe(
        with_overrides(),
        {"train.epochs": 3, "stage.weight_bits": 3, "stage.0.activation_bits": "float",
         "stage.override.1.weight_bits": 4, "published.value": 90.0, "published.source": "a paper"},
    )  # fmt: skip
    stage = recipe.stage[0]
    assert (recipe.train.epochs, stage.weight_bits, stage.activation_bits) == (3, 3, "float")
    assert [o.weight_bits for o in stage.override] == [3, 4]
    assert recipe.published is not None
    assert recipe.published.value == 90.0


def test_the_tables_that_came_in_stay():
    raw = with_overrides()
    before = copy.deepcopy(raw)
    parse_recipe(raw, {"stage.weight_bits": 3, "stage.override.0.layers": "z", "train.epochs": 1})
    assert raw == before


def test_the_fingerprint_is_about_what_training_depends_on():
    base = parse_recipe(RAW, {}).fingerprint()
    for harmless in ({"name": "other"}, {"train.checkpoint_s": 5}, {"train.evaluate_every": 1}, {"output.folder": "x"}):
        assert parse_recipe(RAW, harmless).fingerprint() == base
    changes = (
        {"seed": 1},
        {"train.lr": 0.1},
        {"train.penalty": 0.0},
        {"stage.weight_bits": 3},
        {"data.source": "digits"},
        {"model.source": "m"},
    )
    assert len({base, *(parse_recipe(RAW, change).fingerprint() for change in changes)}) == 7


def test_the_fingerprint_of_long_runs_is_the_one_in_their_checkpoints():
    """Changing this value cuts every unfinished run off from its checkpoint."""
    found = parse_recipe({**RAW, "name": "x"}, {"stage.weight_bits": 2, "stage.activation_bits": 2}).fingerprint()
    assert found == "849ac8981c00dd36ca2107197356fbe619e22bbcc31e64d265fed0b03a9dfe7b"


@pytest.mark.parametrize("name", builtin_recipes())
def test_built_in_recipes_are_legal(name):
    assert isinstance(load_recipe(name), Recipe)


@pytest.mark.parametrize(
    ("source", "words"),
    [("w2a2-lp", ("did you mean 'w2a2-lq'",)), ("nothing.toml", ("neither a recipe file nor a built-in recipe",))],
)
def test_unknown_recipes(source, words):
    with pytest.raises(RecipeError) as caught:
        load_recipe(source)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe"])
def test_files_that_are_no_toml(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match="not valid TOML"):
        load_recipe(path)


def test_patterns():
    names = ["layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "linear"]
    assert matching("layer1.*", names) == names[:2]
    assert matching("*conv1", names) == [names[0], names[2]]
    with pytest.raises(RecipeError, match=r"'layer9\.\*' matches 0 of 4 layers; .*layer"):
        matching("layer9.*", names)
