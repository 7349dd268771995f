"""Training with gradients of few bits: which layers, unbiased, resumed with the same bits, nothing left behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.nn.utils import parametrize

from kompakt._core.errors import QuantizerError, RecipeError, TrainingError
from kompakt.quant import quantized_gradients
from kompakt.strategy.recipe import load_recipe
from kompakt.train import TrainSettings
from support.training import STEPS, checkpoint, few_digits, float_net, metrics, quantized_net, run, same


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    dataset = few_digits()
    x = torch.from_numpy(dataset.normalise(dataset.train.images[:32]))
    return x, torch.from_numpy(dataset.train.labels[:32])


def test_what_a_layer_sums_up_is_quantized():
    """The gradient of a bias is the sum of the sums' gradients: whole steps, found from the float gradient."""
    module, (x, labels) = quantized_net(float_net()).train(), batch()
    bias = module.get_submodule("classifier").bias
    found = {}
    for bits in (4, 32):
        with quantized_gradients(module, bits):
            logits = module(x)
            logits.retain_grad()
            found[bits] = torch.autograd.grad(F.cross_entropy(logits, labels), [bias, logits])
    step = 2.0 ** torch.ceil(torch.log2(found[4][1].abs().max() / 7))
    assert torch.equal(found[4][0] / step, (found[4][0] / step).round())
    assert not torch.equal(found[32][0] / step, (found[32][0] / step).round())
    assert torch.equal(found[32][0], found[32][1].sum(0))


def test_the_mean_gradient_of_a_weight_is_the_float_one():
    module, (x, labels) = quantized_net(float_net()), batch()
    weight = module.get_submodule("classifier").parametrizations.weight.original

    def gradient() -> torch.Tensor:
        return torch.autograd.grad(F.cross_entropy(module(x), labels), weight)[0]

    module.eval()
    expected = gradient()
    torch.manual_seed(0)
    with quantized_gradients(module, 4):
        found = torch.stack([gradient() for _ in range(300)])
    error = found.std(0) / len(found) ** 0.5
    assert (found.mean(0) - expected).abs().max() <= 5 * error.max()
    assert not torch.allclose(found[0], expected)
    assert torch.equal(gradient(), expected), "hooks are gone"


def test_32_bits_change_nothing(tmp_path):
    run(tmp_path / "float")
    run(tmp_path / "set", gradient_bits=32)
    assert same(checkpoint(tmp_path / "float"), checkpoint(tmp_path / "set"))


def test_a_run_with_few_bits_resumes_with_the_same_bits(tmp_path):
    run(tmp_path / "whole", gradient_bits=6)
    module, count = quantized_net(float_net()), 0

    def strike(*_: object) -> None:
        nonlocal count
        count += module.training
        if count == 2 * STEPS:
            raise KeyboardInterrupt

    hook = module.register_forward_pre_hook(strike)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", module=module, gradient_bits=6)
    hook.remove()
    assert not any(layer._forward_hooks for layer in module.modules()), "nothing is left behind"
    run(tmp_path / "cut", resume=True, gradient_bits=6)
    assert same(checkpoint(tmp_path / "cut"), checkpoint(tmp_path / "whole"))
    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")


def test_layers_with_float_weights_keep_their_gradients():
    module = quantized_net(float_net())
    parametrize.remove_parametrizations(module.get_submodule("classifier"), "weight")
    with quantized_gradients(module, 6):
        assert not module.get_submodule("classifier")._forward_hooks
        assert sum(len(part._forward_hooks) for part in module.modules()) == 4
    with (
        pytest.raises(QuantizerError, match="gradients of 6 bits need a layer with quantized weights"),
        quantized_gradients(float_net(), 6),
    ):
        pass


def test_impossible_bits_are_refused():
    with pytest.raises(TrainingError, match="gradient_bits must be one of"):
        replace(TrainSettings(), gradient_bits=1)
    with pytest.raises(RecipeError, match=r"train\.gradient_bits"):
        load_recipe("w4a4-lsq", {"train.gradient_bits": 9})
