"""Integers stored by others become a program that computes what they mean, zero points, padding and ranges included."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

from kompakt._core.errors import DataError
from kompakt.artifact import to_bytes
from kompakt.cli.app import run_command
from kompakt.data import card, load_dataset, preparation
from kompakt.deploy import import_integers, import_network
from kompakt.engine import load, run_reference

SHAPE = (4, 9, 8)


def quant(scale: float, zero: int, dtype: str = "uint8") -> dict[str, Any]:
    return {"scale": scale, "zero_point": zero, "dtype": dtype}


def operation(op: str, inputs: str, out: str, **fields: Any) -> dict[str, Any]:
    return {"op": op, "inputs": inputs.split(), "out": out, **fields}


def conv(inputs: str, out: str, param: str, stride: int, kind: str, **fields: Any) -> dict[str, Any]:
    plain = {"param": param, "stride": [stride, stride], "padding": kind, "depthwise": False, "act": None}
    return operation("conv", inputs, out, **plain | fields)


def network() -> dict[str, Any]:
    """Every operation, on zero points at, between and beyond the ends, padded and not."""
    ops = [
        conv("x", "a", "00", 2, "same", act="relu6", quant=quant(6 / 255, 0)),
        conv("a", "b", "01", 1, "same", depthwise=True, act="relu", quant=quant(0.05, -128, "int8")),
        conv("b", "c", "02", 1, "valid", quant=quant(0.06, 119)),
        conv("c", "d", "03", 1, "same", quant=quant(0.2, 136)),
        operation("add", "c d", "e", act="relu", quant=quant(0.1, 3)),
        conv("e", "f", "04", 1, "valid", act="relu6", quant=quant(0.05, 40)),
        operation("avgpool", "f", "g", kernel=[5, 4], quant=quant(0.03, 40)),
        operation("flatten", "g", "h", quant=quant(0.03, 40)),
        operation("linear", "h", "i", param="05", act=None, quant=quant(0.07, 58)),
        operation("softmax", "i", "j"),
    ]
    architecture = {"family": "graph", "input": "x", "output": "j", "ops": ops, "input_quant": quant(1 / 64, 128)}
    return {"name": "mine", "input": {"shape": list(SHAPE)}, "architecture": architecture}


def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    shapes = {"00": (6, 4, 3, 3), "01": (6, 1, 3, 3), "02": (5, 6, 1, 1), "03": (5, 5, 3, 3), "04": (7, 5, 1, 1),
              "05": (3, 7)}  # fmt: skip
    found = {}
    for param, shape in shapes.items():
        zero, per_channel = int(rng.integers(40, 220)), shape[0] if param == "00" else 1
        codes = np.clip(rng.normal(zero, 45, shape), 0, 255).round().astype(np.uint8)
        codes.flat[:2] = 0, 255
        found[f"{param}.weight"] = codes
        found[f"{param}.weight_zero_point"] = np.array([zero], np.int32)
        size = np.sqrt(np.prod(shape[1:])) * 45
        found[f"{param}.weight_scale"] = (rng.uniform(1, 1.5, per_channel) / size).astype(np.float32)
        found[f"{param}.bias"] = rng.integers(-300, 300, shape[0]).astype(np.int32)
        found[f"{param}.bias_scale"] = np.array([0.002], np.float32)
    return found


def simulated(about: dict[str, Any], weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """The same in float64: real values, rounded to the stored grids."""
    w = {key: torch.from_numpy(value.astype(np.float64)) for key, value in weights.items()}

    def rounded(v: torch.Tensor, q: dict[str, Any] | None) -> torch.Tensor:
        if q is None:
            return v
        low = 0 if q["dtype"] == "uint8" else -128
        return ((v / q["scale"]).round() + q["zero_point"]).clamp(low, low + 255).sub(q["zero_point"]) * q["scale"]

    def real(param: str) -> tuple[torch.Tensor, torch.Tensor]:
        weight = w[f"{param}.weight"]
        shape = (-1, *[1] * (weight.dim() - 1))
        zero, scale = (w[f"{param}.weight_{key}"].reshape(shape) for key in ("zero_point", "scale"))
        return (weight - zero) * scale, w[f"{param}.bias"] * w[f"{param}.bias_scale"]

    acts = {None: lambda t: t, "relu": F.relu, "relu6": F.relu6}
    values = {"x": rounded(torch.from_numpy(x.astype(np.float64)), about["architecture"]["input_quant"])}
    for e in about["architecture"]["ops"]:
        v = values[e["inputs"][0]]
        if e["op"] == "conv":
            k, bias = real(e["param"])
            for axis in (2, 3) if e["padding"] == "same" else ():
                n, s, size = v.shape[axis], e["stride"][0], k.shape[axis]
                total = max((-(-n // s) - 1) * s + size - n, 0)
                pad = [total // 2, total - total // 2]
                v = F.pad(v, [0, 0, *pad] if axis == 2 else pad)
            y = F.conv2d(v, k, bias, e["stride"], groups=v.shape[1] if e["depthwise"] else 1)
        elif e["op"] == "linear":
            y = F.linear(v, *real(e["param"]))
        elif e["op"] == "add":
            y = v + values[e["inputs"][1]]
        elif e["op"] == "avgpool":
            y = v.mean((2, 3), keepdim=True)
        else:
            y = v.flatten(1)
        values[e["out"]] = rounded(acts[e.get("act")](y), e.get("quant"))
    return np.asarray(values[about["architecture"]["output"]].numpy())


def inputs(count: int = 24) -> np.ndarray:
    return np.random.default_rng(4).uniform(-2.5, 2.5, (count, *SHAPE)).astype(np.float32)


def test_the_program_computes_what_the_stored_integers_mean() -> None:
    program = import_integers(network(), tensors())
    x = inputs()
    found, expected = run_reference(program, x), simulated(network(), tensors(), x)
    assert len(np.unique(expected)) > 20, "the outputs must say something"
    # Sums in another order may turn a value on the edge of two codes; the difference travels on.
    assert (np.abs(found - expected) < 1e-4).mean() > 0.9
    assert np.abs(found - expected).max() <= 3 * 0.07


def test_the_engine_computes_the_same_bits() -> None:
    program = import_integers(network(), tensors())
    assert np.array_equal(load(to_bytes(program, {})).run(inputs()), run_reference(program, inputs()))


def test_codes_are_stored_not_quantized_again() -> None:
    nodes = {node.name: node for node in import_integers(network(), tensors()).nodes}
    stored = tensors()
    for param in ("02", "03", "04", "05"):
        level = stored[f"{param}.weight"].astype(int) - stored[f"{param}.weight_zero_point"]
        assert np.abs(level).max() > 127, "the case needs levels that do not fit"
        held = nodes[f"layer{param}"].attrs["weight"].levels()
        found = np.zeros_like(level)
        for column, channel in enumerate(nodes[f"layer{param}.copies"].attrs["index"]):
            found[:, channel] += held[:, column]
        assert np.array_equal(found, level)


def broken(change: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    about, weights = copy.deepcopy(network()), tensors()
    change(about["architecture"]["ops"], weights)
    return about, weights


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda ops, w: ops[6].update(kernel=[2, 2]), "g: expected a pool over the whole map"),
        (lambda ops, w: ops.pop(6) and ops[6].update(inputs=["f"]), "h: flattens a map of"),
        (lambda ops, w: ops[4].update(op="mul"), "operation 'mul' is not supported"),
        (lambda ops, w: w.pop("03.bias"), "expected a list of quantized operations"),
        (lambda ops, w: ops[0].pop("quant"), "expected a list of quantized operations"),
    ],
)
def test_what_cannot_be_expressed_is_refused(change: Any, words: str) -> None:
    about, weights = broken(change)
    with pytest.raises(DataError, match=f"mine: {words}"):
        import_integers(about, weights)


def test_the_command_leaves_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    folder, target = tmp_path / "models" / "mine", tmp_path / "mine.kpt"
    folder.mkdir(parents=True)
    monkeypatch.setenv("KOMPAKT_DATA", str(tmp_path))
    (folder / "card.json").write_text(json.dumps(network()))
    save_file(tensors(), folder / "weights.safetensors")
    assert run_command(["import", "zoo:mine", "--save", str(target), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(target), "bytes": target.stat().st_size, "layers": 6}
    expected = run_reference(import_integers(network(), tensors()), inputs(2))
    assert np.array_equal(load(target).run(inputs(2)), expected)
    assert run_command(["import", "mine", "--save", str(target)]) == 2
    (folder / "weights.safetensors").write_bytes(b"cut")
    assert run_command(["import", "zoo:mine", "--save", str(target)]) == 1
    assert "expected a safetensors file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cifar10-resnet8-int8", "cifar10"), ("imagenet-mobilenet-v1-025-128-uint8", "imagenet-sample"),
        ("imagenet-mobilenet-v2-224-uint8", "imagenet-sample"),
    ],
)  # fmt: skip
def test_imported_networks_keep_the_accuracy_of_their_card(name: str, data: str) -> None:
    try:
        about = card(name)
        dataset = load_dataset(data, preparation(about))
    except DataError as error:
        pytest.skip(str(error))
    engine = load(import_network(name)[0])
    images, labels = dataset.test.images, dataset.test.labels
    right = sum(
        int((engine.run(dataset.normalise(images[i : i + 50])).argmax(1) == labels[i : i + 50]).sum())
        for i in range(0, len(images), 50)
    )
    assert abs(100 * right / len(images) - about["measured"]["top1"]) <= 0.1 + 1e-9
