"""Networks by name: of the published size, the same at every call, with values that neither fade nor explode."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kompakt.graph import trace
from kompakt.zoo import NETS, ResNetCifar, build, noise
from kompakt.zoo.nets import with_statistics

PARAMETERS = {
    "resnet18": 11_689_512,  # He et al., 2016: 11.7 M
    "mobilenet_v2": 3_504_872,  # Sandler et al., 2018, table 4: 3.4 M
    "resnet56": 853_018,  # He et al., 2016, table 6: 0.85 M
    "vgg_small": 4_660_106,
    "densenet40": 176_122,
    "lenet_300_100": 266_610,  # LeCun et al., 1998, and every paper on pruning since: 267 k
    "hardtanh_mlp_1024": (784 + 2 * 1024 + 10) * 1024 + 2 * (3 * 1024 + 10),
    "linear_4096": 4096 * 4097,
    "linear_9216": 9217 * 4096,
    # Touvron et al., table 1: 5.7 M, with a class token and its position (192 each) in place of 196 positions alone.
    "vit_tiny": 5_717_416 - 2 * 192,
    "block_diagonal_8": 4096 * (512 + 1),
    "block_diagonal_16": 4096 * (256 + 1),
    "ptb_lstm": (2 * 200 + 1) * 10_000 + 4 * 200 * (2 * 200 + 2),
    "ptb_gru": (2 * 200 + 1) * 10_000 + 3 * 200 * (2 * 200 + 2),
}
SMALL = ("resnet20", "densenet40", "inception", "vit_cifar", "lenet_300_100", "lstm", "hardtanh_mlp_1024")


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_number_of_parameters_is_the_published_one(name: str) -> None:
    with torch.device("meta"):
        module = NETS[name].build()
    assert sum(p.numel() for p in module.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", NETS)
def test_every_net_takes_its_input_shape(name: str) -> None:
    with torch.device("meta"):
        module = NETS[name].build().eval()
        assert module(torch.empty(2, *NETS[name].input_shape)).ndim == (3 if NETS[name].tokens else 2)


@pytest.mark.parametrize("name", SMALL)
def test_weights_are_the_same_at_every_call_and_other_random_numbers_are_left_alone(name: str) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second = build(name), build(name)
    assert torch.equal(torch.rand(2), expected)
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
    assert not first.training


@pytest.mark.parametrize("name", SMALL)
def test_outputs_are_neither_faint_nor_huge_and_the_net_can_be_traced(name: str) -> None:
    module, x = build(name), torch.from_numpy(noise(NETS[name].input_shape, 4, seed=1))
    with torch.no_grad():
        y = module(x)
    assert 0.02 < float(y.std()) < 3
    trace(module, x)


def test_statistics_are_those_of_the_inputs() -> None:
    x = noise((3, 32, 32), 8)
    net = with_statistics(ResNetCifar(8), x)
    with torch.no_grad():
        stem = net.bn1(net.conv1(torch.from_numpy(x)))
    np.testing.assert_allclose(stem.mean((0, 2, 3)).numpy(), 0, atol=1e-4)
    np.testing.assert_allclose(stem.var((0, 2, 3)).numpy(), 1, rtol=1e-3)
    assert net.bn1.momentum == 0.1


def test_noise_is_repeatable() -> None:
    assert np.array_equal(noise((4,), 3), noise((4,), 3))
    assert not np.array_equal(noise((4,), 3), noise((4,), 3, seed=1))


def test_noise_of_tokens_is_whole_numbers_below_their_count() -> None:
    found = noise((50,), 20, tokens=7)
    assert found.dtype == np.float32
    assert set(found.ravel()) == set(range(7))
