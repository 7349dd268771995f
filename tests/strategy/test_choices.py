"""From a quantize stage to what every layer gets."""

from __future__ import annotations

import pytest

from kompakt._core.errors import RecipeError
from kompakt.quant.attach import Choice, LayerChoice
from kompakt.strategy.choices import layer_choices, residual_choice
from kompakt.strategy.recipe import QuantizeStage

LAYERS = ["stem", "a.conv1", "a.conv2", "head"]
EIGHT = LayerChoice(Choice("lsq", 8), Choice("lsq", 8))


def stage(**settings: object) -> QuantizeStage:
    return QuantizeStage.model_validate({"kind": "quantize", "method": "lq_nets", **settings})


def test_inner_layers_get_the_method_and_both_ends_eight_bits():
    inner = LayerChoice(Choice("lq_nets", 2), Choice("lq_nets", 3))
    found = layer_choices(stage(activation_bits=3), LAYERS)
    assert found == {"stem": EIGHT, "a.conv1": inner, "a.conv2": inner, "head": EIGHT}
    assert list(found) == LAYERS


def test_a_single_layer_is_an_end():
    assert layer_choices(stage(), ["only"]) == {"only": EIGHT}


def test_no_layers_give_no_choices():
    assert layer_choices(stage(), []) == {}


def test_ends_in_float():
    found = layer_choices(stage(first_last="float"), LAYERS)
    assert found["stem"] == found["head"] == LayerChoice(None, None)


def test_weights_only_leave_every_activation_in_float():
    found = layer_choices(stage(activation_bits="float"), LAYERS)
    assert all(choice.activation is None for choice in found.values())
    assert found["stem"].weight == Choice("lsq", 8)
    assert found["a.conv1"].weight == Choice("lq_nets", 2)
    assert residual_choice(stage(activation_bits="float")) is None


def test_activations_only():
    found = layer_choices(stage(weight_bits="float"), LAYERS)
    assert found["a.conv1"] == LayerChoice(None, Choice("lq_nets", 2))


@pytest.mark.parametrize(("bits", "expected"), [(8, Choice("lsq", 8)), (4, Choice("lsq", 4)), ("float", None)])
def test_stored_values(bits, expected):
    assert residual_choice(stage(residual_bits=bits)) == expected


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({"weight_bits": 4}, LayerChoice(Choice("lq_nets", 4), Choice("lq_nets", 2))),
        ({"activation_bits": "float"}, LayerChoice(Choice("lq_nets", 2), None)),
        ({"method": "lsq"}, LayerChoice(Choice("lsq", 2), Choice("lsq", 2))),
        ({"activation_method": "lsq", "activation_bits": 8}, LayerChoice(Choice("lq_nets", 2), Choice("lsq", 8))),
        ({"method": "lsq", "weight_bits": 5}, LayerChoice(Choice("lsq", 5), Choice("lsq", 2))),
        ({"weight_bits": "float", "activation_bits": "float"}, LayerChoice(None, None)),
    ],
)
def test_overrides_change_what_they_name_and_no_more(override, expected):
    found = layer_choices(stage(override=[{"layers": "*.conv2", **override}]), LAYERS)
    assert found["a.conv2"] == expected
    assert found["a.conv1"] == LayerChoice(Choice("lq_nets", 2), Choice("lq_nets", 2))
    assert found["stem"] == EIGHT


def test_later_overrides_win():
    settings = [{"layers": "a.*", "weight_bits": 3}, {"layers": "a.conv1", "weight_bits": 4}]
    found = layer_choices(stage(override=settings), LAYERS)
    assert [found[name].weight.bits for name in ("a.conv1", "a.conv2")] == [4, 3]


def test_an_override_can_quantize_what_the_stage_leaves_in_float():
    settings = [{"layers": "stem", "weight_bits": 4}]
    found = layer_choices(stage(first_last="float", override=settings), LAYERS)
    assert found["stem"] == LayerChoice(Choice("lsq", 4), None)


def test_a_pattern_that_matches_nothing():
    with pytest.raises(RecipeError, match=r"pattern 'b\.\*' matches 0 of 4 layers"):
        layer_choices(stage(override=[{"layers": "b.*", "weight_bits": 3}]), LAYERS)
