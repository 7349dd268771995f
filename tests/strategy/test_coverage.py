"""Every float network that there is, compressed without training, runs in the engine exactly as its reference says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kompakt import zoo
from kompakt._core.errors import DataError
from kompakt.data import card, locate
from kompakt.engine import run_reference
from kompakt.strategy import load_recipe, prepare
from kompakt.strategy.sources import load_data, load_model
from kompakt.zoo.nets import with_statistics

RECIPES = ("int8", "w4a8")
OWN = ("resnet18", "mobilenet_v2", "densenet40", "inception", "vit_cifar", "lstm")
PRETRAINED = {
    "cifar10-resnet8": "cifar10", "cifar10-resnet20": "cifar10", "cifar10-resnet32": "cifar10",
    "cifar10-resnet44": "cifar10", "cifar10-resnet20-apot-fp32": "cifar10", "cifar10-resnet20-relu6": "cifar10",
    "cifar10-resnet20-ssl-dense": "cifar10", "cifar10-resnet20-ssl-thinned": "cifar10",
    "cifar10-resnet20-ssl-layers-removed": "cifar10", "imagenet-squeezenet-dc": "imagenet-sample",
    "mnist-lenet5": "mnist", "mnist-mlp": "mnist", "text-charlstm": "essays",
}  # fmt: skip


def check(module: torch.nn.Module, recipe: str, inputs: np.ndarray) -> None:
    """Compress, run the packed file, compare with the reference bit for bit; nothing stays float without a reason."""
    batch = torch.from_numpy(inputs)
    small = prepare(module, load_recipe(recipe), batch[:2], batch).finish()
    few = inputs[:2]
    assert np.array_equal(small.engine().run(few), run_reference(small.program, few))
    left = {layer["name"] for layer in small.result["layers"] if layer["weight_bits"] == 32}
    assert left == {entry["name"] for entry in small.result["skipped"]}
    assert not left, "these recipes compress every layer"


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (zoo.ResNetCifar(8, variant=zoo.Variant("relu6", {"layer1.0": 5}, {"layer2.0": ["conv2"]})), (3, 16, 16)),
        (zoo.SqueezeNet(10), (3, 63, 63)),
        (zoo.LeNet5(), (1, 32, 32)),
        (zoo.PerceptronMnist((20, 33, 10)), (1, 4, 5)),
        (zoo.ResNet8(), (3, 16, 16)),
        (zoo.CharacterLstm(9, 12), (9, 6, 1)),
    ],
    ids=["resnet-pruned", "squeezenet", "lenet5", "perceptron", "resnet8", "character-lstm"],
)
def test_small_networks_of_every_family(recipe: str, module: torch.nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    inputs = zoo.noise(shape, 8)
    check(with_statistics(module, inputs), recipe, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", OWN)
def test_stock_architectures_at_full_size(recipe: str, name: str) -> None:
    check(zoo.build(name), recipe, zoo.noise(zoo.NETS[name].input_shape, 4))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is zero in all calibration samples")  # pruning left dead layers
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", PRETRAINED)
def test_pretrained_networks(recipe: str, name: str) -> None:
    try:
        locate(f"models/{name}")
        model = load_model(f"zoo:{name}")
        data = load_data(PRETRAINED[name], model)
    except DataError as error:
        pytest.skip(str(error))
    check(model.module, recipe, data.normalise(data.train.images[:16]))


def test_every_float_network_on_disk_is_in_the_list() -> None:
    try:
        folder = locate("models")
    except DataError as error:
        pytest.skip(str(error))
    floats = set()
    for path in folder.iterdir():
        if (path / "card.json").is_file():
            about = card(path.name)
            if "quantizer" not in about and "input_quant" not in about["architecture"]:
                floats.add(path.name)
    assert floats == set(PRETRAINED)
