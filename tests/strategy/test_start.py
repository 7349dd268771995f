"""Starting from a network that others trained with quantizers: their numbers, or a refusal."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file

import kompakt as kp
from kompakt.quant.additive_powers import magnitudes
from kompakt.strategy.job import Job, prepare
from kompakt.strategy.recipe import Recipe, parse_recipe
from kompakt.strategy.start import start_from
from kompakt.zoo import ResNetCifar

BITS = 3
STAGE = {
    "kind": "quantize", "method": "apot", "weight_bits": BITS, "activation_bits": BITS, "first_last": "float",
    "residual_bits": "float", "shared_inputs": False,
}  # fmt: skip


def recipe(**changes: object) -> Recipe:
    return parse_recipe({"name": "own", "stage": [{**STAGE, **changes}], "train": {"epochs": 0}}, {})


def images(seed: int) -> torch.Tensor:
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def levels(bits: int) -> torch.Tensor:
    return torch.tensor(magnitudes(bits)) / max(magnitudes(bits))


def nearest(x: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
    return among[(x[..., None] - among).abs().argmin(-1)]


@pytest.fixture
def stored(tmp_path, monkeypatch) -> dict[str, torch.Tensor]:
    """A network of three blocks as its card describes it, in the data folder; its tensors."""
    monkeypatch.setenv("KOMPAKT_DATA", str(tmp_path))
    torch.manual_seed(0)
    state = {k: v for k, v in ResNetCifar(8, projection=True).state_dict().items() if "tracked" not in k}
    signed = torch.cat([-levels(BITS - 1).flip(0), levels(BITS - 1)])
    for i, key in enumerate([key for key in state if key.startswith("layer") and state[key].dim() == 4]):
        layer, w, alpha = key.removesuffix(".weight"), state[key], 1.5 + 0.1 * i
        state[f"{layer}.wgt_alpha"], state[f"{layer}.act_alpha"] = torch.tensor(alpha), torch.tensor(0.5 + 0.1 * i)
        state[f"{layer}.weight_q"] = alpha * nearest((w - w.mean()) / w.std() / alpha, signed)
    folder = tmp_path / "models" / "own"
    folder.mkdir(parents=True)
    save_file(state, folder / "weights.safetensors")
    quantizer = {"weight_levels": levels(BITS - 1).tolist(), "activation_levels": levels(BITS).tolist()}
    (folder / "card.json").write_text(json.dumps({"quantizer": quantizer}))
    return state


def started(recipe: Recipe) -> Job:
    torch.manual_seed(1)
    model = ResNetCifar(8, projection=True)
    job = prepare(model, recipe, images(0))
    start_from(job.graph, "zoo:own", images(0), model)
    return job


def as_described(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The network by its card alone, in plain PyTorch."""

    def norm(y: torch.Tensor, name: str) -> torch.Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        return torch.nn.functional.batch_norm(y, *(state[f"{name}.{key}"] for key in keys))

    def conv(y: torch.Tensor, name: str, stride: int = 1, padding: int = 1) -> torch.Tensor:
        alpha = state[f"{name}.act_alpha"]
        y = alpha * nearest((y / alpha).clamp(max=1), levels(BITS))
        return torch.nn.functional.conv2d(y, state[f"{name}.weight_q"], None, stride, padding)

    x = norm(torch.nn.functional.conv2d(x, state["conv1.weight"], padding=1), "bn1").relu()
    for stage in (1, 2, 3):
        name, stride = f"layer{stage}.0", 1 if stage == 1 else 2
        y = norm(conv(x, f"{name}.conv1", stride), f"{name}.bn1").relu()
        y = norm(conv(y, f"{name}.conv2"), f"{name}.bn2")
        if stride == 2:
            x = norm(conv(x, f"{name}.shortcut.0", 2, 0), f"{name}.shortcut.1")
        x = (x + y).relu()
    return torch.nn.functional.linear(x.mean((2, 3)), state["linear.weight"], state["linear.bias"])


def test_a_stored_network_gives_its_own_outputs(stored):
    job, x = started(recipe()), images(1)
    expected = as_described(stored, x)
    found = torch.from_numpy(job.finish()(x.numpy()))
    assert (found - expected).abs().max() <= 1e-3 * expected.abs().max()


def test_what_the_network_does_not_have_is_fitted_behind_its_weights(stored):
    job = started(recipe(residual_bits=8, first_last=8))
    slot = job.module.get_submodule("slots.conv1_input").quantizer
    assert 0.5 < float(slot.rule.step.detach()) * 127 / images(0).abs().max() < 1.5
    x = images(1)
    expected = as_described(stored, x)
    found = torch.from_numpy(job.finish()(x.numpy()))
    assert (found - expected).norm() <= 0.3 * expected.norm()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weight_bits": 4}, "layer1.0.conv1.weight: quantized values differ by up to"),
        ({"activation_bits": 4}, "layer1.0.conv1: its inputs have 8 levels there, 16 here"),
        ({"shared_inputs": True}, "set shared_inputs = false"),
    ],
)
def test_other_numbers_are_refused(stored, changes, words):
    with pytest.raises(kp.RecipeError, match=words):
        started(recipe(**changes))


def test_other_networks_are_refused(stored, tmp_path):
    model = ResNetCifar(14, projection=True)
    job, start = prepare(model, recipe(), images(0)), partial(start_from, source="zoo:own", batch=images(0))
    with pytest.raises(kp.RecipeError, match=r"does not fit this network: layer1\.1.* is missing"):
        start(job.graph, model=model)
    with pytest.raises(kp.RecipeError, match=r"does not fit this network: .*is unknown"):
        start(job.graph, model=ResNetCifar(8))
    with pytest.raises(kp.RecipeError, match=r"(?s)does not fit this network: .*size mismatch"):
        start(job.graph, model=ResNetCifar(8, classes=3, projection=True))
    folder = tmp_path / "models" / "own"
    (folder / "card.json").write_text("{}")
    with pytest.raises(kp.DataError, match="describes no quantizers"):
        start(job.graph, model=model)
    (folder / "card.json").write_text('{"quantizer": {"weight_levels": []}}')
    tensors = load_file(folder / "weights.safetensors")
    save_file({k: v for k, v in tensors.items() if k != "layer1.0.conv1.weight"}, folder / "weights.safetensors")
    with pytest.raises(kp.DataError, match="not as expected"):
        start(job.graph, model=model)
