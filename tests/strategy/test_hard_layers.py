"""Which layers get two tensors, and that the engine runs them as the reference does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kompakt._core.errors import RecipeError
from kompakt.encoding import Planes
from kompakt.engine import reference
from kompakt.quant.attach import Choice
from kompakt.strategy import expectation
from kompakt.strategy.job import prepare
from kompakt.strategy.recipe import load_recipe

BATCH = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Chain(nn.Module):
    """Between its ends three layers of equal size; the weights of `b` hold outliers, which 4 bits serve badly."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 4)
        self.a, self.b, self.c = (nn.Conv2d(6, 6, 3, padding=1) for _ in range(3))
        with torch.no_grad():
            self.b.weight[:, 0, 1, 1] += 2.5

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.a, self.b, self.c):
            x = torch.relu(layer(x))
        return self.last(x.mean((2, 3)))


PLANNED = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 4), nn.Flatten())
"""


@pytest.fixture
def model() -> Chain:
    torch.manual_seed(0)
    return Chain().eval()


def weight_choices(model: Chain, **settings: object) -> dict[str, Choice]:
    recipe = load_recipe("w4a8-dual", {f"stage.{key}": value for key, value in settings.items()})
    job = prepare(model, recipe, BATCH)
    slots = {str(node.target): job.graph.submodule(node).parametrizations.weight[0] for node in job.graph.layers()}
    return {name: Choice(slot.method, slot.quantizer.bits) for name, slot in slots.items()}


def test_the_layer_that_loses_most_gets_two_tensors(model):
    found = weight_choices(model, hard_share=0.34)
    assert found["b"] == Choice("mmse_dual", 8)
    assert found["a"] == found["c"] == Choice("mmse", 4)
    assert found["first"] == found["last"] == Choice("mmse", 8)


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.3, 0), (0.34, 1), (0.67, 2), (1.0, 3)])
def test_the_share_is_a_bound(model, share, count):
    found = weight_choices(model, hard_share=share)
    assert sum(choice.method == "mmse_dual" for choice in found.values()) == count


def test_layers_with_an_override_are_left_alone(model):
    found = weight_choices(model, hard_share=1.0, override=[{"layers": "b", "weight_bits": 6}])
    assert found["b"] == Choice("mmse", 6)
    assert found["a"] == Choice("mmse_dual", 8)


def test_hard_layers_may_have_wider_activations(model):
    recipe = load_recipe(
        "w4a8-dual", {"stage.hard_share": 0.34, "stage.activation_bits": 4, "stage.hard_activation_bits": 8}
    )
    layers = {layer["name"]: layer for layer in prepare(model, recipe, BATCH).finish().result["layers"]}
    assert [layers[name]["activation_bits"] for name in "abc"] == [4, 8, 4]
    assert [layers[name]["weight_bits"] for name in "abc"] == [4, 8, 4]


def test_two_tensors_are_one_integer_product_in_the_engine(model):
    small = prepare(model, load_recipe("w4a8-dual", {"stage.hard_share": 1.0}), BATCH).finish()
    encodings = {node.name: node.attrs["weight"].encoding for node in small.program.nodes if "weight" in node.attrs}
    assert isinstance(encodings["b"], Planes)
    images = BATCH.numpy()
    assert np.array_equal(small.engine().run(images), reference.run(small.program, images))
    planes = 8 * -(-6 * 6 * 9 // 8)
    assert {layer["name"]: layer["packed_bytes"] for layer in small.result["layers"]}["b"] == planes + 6 * 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hard_bits": 5}, r"hard_bits must be one of \(4, 6, 8\) for 'mmse_dual'"),
        ({"hard_share": 1.5}, "hard_share"),
        (
            {"hard_share": 0.2, "weight_bits": "mixed"},
            "hard_share is for layers of one bit-width, got weight_bits = 'mixed'",
        ),
        ({"hard_method": "mmse_duel"}, "unknown quantization method 'mmse_duel'; did you mean 'mmse_dual'"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("w4a8-dual", {f"stage.{key}": value for key, value in settings.items()})


def test_the_plan_has_the_size_without_learning_roundings(tmp_path, monkeypatch):
    monkeypatch.setattr("kompakt.quant.correct.learned_rounding", None)  # calling it would fail
    path = tmp_path / "net.py"
    path.write_text(PLANNED)
    recipe = load_recipe("w3a8", {"model.source": f"{path}:build"})
    assert expectation(recipe, (3, 8, 8))["bits"]["weights"] == 3
    found = load_recipe("w4a8-dual", {"model.source": f"{path}:build", "stage.hard_share": 1.0})
    assert {layer["weight_bits"] for layer in expectation(found, (3, 8, 8))["layers"]} == {8}
    assert found.stage[0].measures_layers
    assert not recipe.stage[0].measures_layers
