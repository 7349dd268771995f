"""Without training: what is wrong with data, layers or settings is one message that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import kompakt as kp
from kompakt._core.errors import DataError, QuantizerError, RecipeError
from kompakt.quant import Quantizer, method
from kompakt.strategy import prepare

SHAPE = (2, 6, 6)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    ).eval()


def samples(count: int = 64) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, *SHAPE)).astype(np.float32)


def compressed(model: nn.Module | None = None, data: Any = None, **settings: object) -> kp.Compressed:
    names = {key.replace("_in_", "."): value for key, value in settings.items()}
    return kp.compress(model or net(), "int8", samples() if data is None else data, settings=names)


def test_what_is_right_is_quiet() -> None:
    result = compressed().result
    assert result["engine"]["bit_equal_to_reference"]["equal"]
    assert not result["skipped"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_with_nan_or_inf_are_refused(value: float) -> None:
    data = samples()
    data[7, 1, 2, 3] = value
    with pytest.raises(DataError, match="given: images hold NaN or Inf"):
        compressed(data=data)


def test_samples_of_another_shape_name_the_layer() -> None:
    with pytest.raises(kp.GraphError, match=r"0: does not run on an example of shape \(2, 3, 6, 6\)"):
        compressed(data=np.ones((64, 3, 6, 6), np.float32))
    with pytest.raises(QuantizerError, match=r"calibration needs values of shape \(N, 2, 6, 6\), N >= 1, got"):
        prepare(net(), "int8", torch.ones(1, *SHAPE), torch.ones(5, 2, 8, 8))


def test_few_samples_are_a_warning_with_the_number_to_use() -> None:
    with pytest.warns(UserWarning, match="10 samples set the ranges; 64 or more are better"):
        compressed(data=samples(10))


@pytest.mark.parametrize("bits", [0, 1, 9, -3])
def test_bits_out_of_range(bits: int) -> None:
    with pytest.raises(RecipeError, match=rf"weight_bits must be one of .* for 'mmse', or \"float\", got {bits}"):
        compressed(stage_in_weight_bits=bits)


def test_a_weight_that_is_zero_everywhere_is_refused() -> None:
    model = net()
    nn.init.zeros_(model[2].weight)
    with pytest.raises(QuantizerError, match=r"2\.weight: is zero everywhere, so it has no range; .*leave it in float"):
        compressed(model)


def test_an_activation_that_is_zero_in_all_samples_is_a_warning() -> None:
    model = net()
    nn.init.constant_(model[0].bias, -100.0)
    with pytest.warns(UserWarning, match=r"_2_input: is zero in all calibration samples .*give other samples"):
        small = compressed(model)
    assert small.result["engine"]["bit_equal_to_reference"]["equal"]


def test_a_pattern_that_matches_no_layer_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"pattern '22' matches 0 of 3 layers; did you mean '2'"):
        compressed(stage_in_override=[{"layers": "22", "weight_bits": 4}])


def test_a_recipe_that_changes_nothing_is_refused() -> None:
    with pytest.raises(RecipeError, match="changes no layer; layers: 0, 2, 5"):
        compressed(stage_in_weight_bits="float", stage_in_activation_bits="float", stage_in_first_last="float")


def test_layers_that_stay_float_are_listed_with_the_reason() -> None:
    override = [{"layers": "2", "weight_bits": "float", "activation_bits": "float"}]
    found = compressed(stage_in_override=override).result["skipped"]
    assert found == [{"name": "2", "reason": "the recipe leaves its weights in float"}]


def test_a_grain_must_fit_the_values() -> None:
    with pytest.raises(QuantizerError, match=r"5 grains need values of shape \(5, \.\.\.\), got \(4, 9\)"):
        Quantizer(method("mmse"), 4, True, 5).fit(torch.ones(4, 9))
    with pytest.raises(QuantizerError, match="grains must be 1, or the output channels of a weight, got 3"):
        Quantizer(method("mmse"), 4, True, 3, sample_axis=True)
