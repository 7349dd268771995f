"""Stock architectures, and pretrained weights that reach the accuracy of their card."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from kompakt import zoo
from kompakt._core.errors import DataError, GraphError
from kompakt.data import Dataset, digits, locate
from kompakt.data.cifar10 import MEAN, STD, decode
from kompakt.train import predict
from kompakt.zoo import DigitsNet, ResNetCifar
from kompakt.zoo.resnet8 import LAYERS, Block, numbered_weights
from kompakt.zoo.resnet_cifar import Variant

PARAMETERS = {20: 269_722, 32: 464_154, 44: 658_586}  # He et al., table 6: 0.27 M, 0.46 M, 0.66 M


@pytest.mark.parametrize("depth", PARAMETERS)
def test_resnets_have_the_published_size(depth):
    net = ResNetCifar(depth)
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[depth]


@pytest.mark.parametrize(("depth", "projection"), [(8, False), (20, True)])
def test_resnets_give_logits(depth, projection):
    net = ResNetCifar(depth, classes=7, projection=projection).eval()
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert any("shortcut" in key for key in net.state_dict()) is projection


@pytest.mark.parametrize("depth", [0, 2, 7, 19, -4])
def test_other_depths_are_refused(depth):
    with pytest.raises(GraphError, match=rf"6n\+2 \(20, 32, 44, \.\.\.\), got {depth}"):
        ResNetCifar(depth)


def test_two_slopes_are_the_published_maxout():
    """positive · relu(x) - negative · relu(-x), per channel; of either sign."""
    net, x, (positive, negative) = zoo.ResNetMaxout(8).nonlinear1, torch.randn(5, 16, 3, 3), torch.randn(2, 16, 1, 1)
    net.slope.data, net.gain.data = negative, positive - negative
    torch.testing.assert_close(net(x), positive * torch.relu(x) - negative * torch.relu(-x))
    with pytest.raises(GraphError, match=r"6n\+2"):
        zoo.ResNetMaxout(9)


def test_the_digits_net_takes_digits():
    data = digits()
    assert predict(DigitsNet(4), data, data.test.head(5)).shape == (5, 10)


@pytest.fixture(scope="module")
def test_images() -> Dataset:
    try:
        test = decode(locate("data/cifar10") / "test.npz")
        locate("models/cifar10-resnet20")
    except DataError as error:
        pytest.skip(str(error))
    return Dataset("cifar10", test, test, MEAN, STD, scale=1 / 255)


def right(name: str, data: Dataset) -> tuple[int, dict]:
    pretrained = zoo.load(name)
    assert pretrained.input_shape == (3, 32, 32)
    assert pretrained.file_bytes == pretrained.card["weights"]["bytes"]
    normalisation = pretrained.card["input"]
    data = replace(data, mean=tuple(normalisation["mean"]), std=tuple(normalisation["std"]))
    logits = predict(pretrained.module, data, data.test)
    return int((logits.argmax(1) == data.test.labels).sum()), pretrained.card["measured"]


@pytest.mark.parametrize("name", ["cifar10-resnet20", "cifar10-resnet32"])
def test_pretrained_networks_reach_their_card_within_sampling(test_images, name):
    """The first 1,000 images: three standard deviations of a share of 1,000 are 2.7 points."""
    data = test_images.smallest(1, 1000)
    found, measured = right(name, data)
    assert abs(found / 10 - measured["top1"]) < 2.7


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10-resnet20", "cifar10-resnet32", "cifar10-resnet20-apot-fp32"])
def test_pretrained_networks_reach_exactly_their_card(test_images, name):
    found, measured = right(name, test_images)
    assert abs(found - measured["correct"]) <= 1, "another order of float sums may turn one image"


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A data folder of our own with one network, `own`."""
    monkeypatch.setenv("KOMPAKT_DATA", str(tmp_path))
    folder = tmp_path / "models" / "own"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    save_file(ResNetCifar(8).state_dict(), folder / "weights.safetensors")
    write_card(folder)
    return folder


def write_card(folder, **architecture):
    content = {"family": "resnet-cifar", "depth": 8, "activation": "relu", **architecture}
    (folder / "card.json").write_text(json.dumps({"architecture": content, "input": {"shape": [3, 32, 32]}}))


def test_weights_come_as_they_were_stored(models):
    pretrained = zoo.load("own")
    torch.manual_seed(0)
    expected = ResNetCifar(8).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in pretrained.module.state_dict().items())
    assert not pretrained.module.training


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ({"activation": "gelu"}, "own: its activation is gelu, the stock architecture has relu, relu6"),
        ({"family": "alexnet"}, "own: no stock architecture for family 'alexnet'"),
        ({"family": "graph"}, "card or weights are not as expected"),
        ({"family": "graph", "input_quant": {}}, "`kompakt import` makes a file of it"),
        ({"depth": 20}, "tensors missing"),
        ({"depth": "twenty"}, "card or weights are not as expected"),
    ],
)
def test_other_networks_are_refused(models, architecture, words):
    write_card(models, **architecture)
    with pytest.raises(DataError, match=words):
        zoo.load("own")


def test_networks_with_quantizers_are_refused(models):
    card = json.loads((models / "card.json").read_text())
    (models / "card.json").write_text(json.dumps(card | {"quantizer": {"bits": 2}}))
    with pytest.raises(DataError, match=r"name it as model\.start"):
        zoo.load("own")


@pytest.mark.parametrize("damage", ["cut", "nan", "shape", "card"])
def test_damaged_folders_are_refused(models, damage):
    path = models / "weights.safetensors"
    state = ResNetCifar(8).state_dict()
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "nan":
        state["linear.bias"][3] = np.nan
        save_file(state, path)
    elif damage == "shape":
        state["conv1.weight"] = torch.zeros(16, 1, 3, 3)
        save_file(state, path)
    else:
        (models / "card.json").write_text("{")
    with pytest.raises(DataError, match="own"):
        zoo.load("own")


def test_pruned_networks_have_the_shapes_that_were_left(models):
    torch.manual_seed(1)
    removed = {"layer1.0": ["conv1", "conv2"], "layer2.0": ["conv2"]}
    variant = Variant("relu6", {"layer3.0": 5}, removed)
    module = ResNetCifar(8, variant=variant).eval()
    state = dict(module.state_dict().items())
    save_file(state, models / "weights.safetensors")
    write_card(models, activation="relu6", removed=removed)
    found = zoo.load("own").module
    x = torch.randn(2, 3, 32, 32) * 9
    assert torch.equal(found(x), module(x))
    assert found.get_submodule("layer3.0.conv1").weight.shape[0] == 5
    assert not any(key.startswith(("layer1.0", "layer2.0.conv2")) for key in found.state_dict())


def test_strided_windows_of_resnet8_start_at_the_first_pixel():
    """TensorFlow's "same" padding at stride 2 and even size: nothing before, one row and column behind."""
    block = Block(2, 3)
    kernel = torch.randn(3, 2, 3, 3)
    weights = {f"{i:02}.weight": torch.zeros(1) for i in range(10)}
    named = numbered_weights(weights | {"03.weight": kernel, "06.weight": kernel})
    assert list(named) == [*(f"{name}.weight" for name in LAYERS if name != "block1.shortcut")]
    block.conv1.weight.data = named["block2.conv1.weight"]
    x = torch.randn(1, 2, 8, 8)
    expected = F.conv2d(F.pad(x, (0, 1, 0, 1)), kernel, block.conv1.bias, stride=2)
    torch.testing.assert_close(block.conv1(x), expected)


@pytest.mark.parametrize(
    ("module", "shape", "parameters"),
    [
        (zoo.LeNet5(), (1, 32, 32), 61_706), (zoo.PerceptronMnist(), (1, 28, 28), 513_360),
        (zoo.ResNet8(), (3, 32, 32), 77_706 + 7 * 16 * 32 + 7 * 32 * 64), (zoo.SqueezeNet(10), (3, 227, 227), 740_554),
    ],
)  # fmt: skip
def test_stock_architectures_have_their_published_size(module, shape, parameters):
    """ResNet-8: with the zeros of its strided kernels."""
    assert sum(p.numel() for p in module.parameters()) == parameters
    assert module.eval()(torch.zeros(1, *shape)).shape == (1, 10)


def test_a_character_model_gives_logits_at_every_step():
    net = zoo.CharacterLstm(7, 5)
    x = torch.nn.functional.one_hot(torch.arange(6) % 7, 7).float().T[None, :, :, None]
    first, second = net(x), net(x[:, :, :4])
    assert first.shape == (1, 6, 7)
    torch.testing.assert_close(first[:, :4], second)


def test_unknown_networks_name_the_nearest(models):
    with pytest.raises(DataError, match="did you mean 'own'"):
        zoo.load("owm")
