"""Peers run the very network they are given; what is not installed is said, with what to install."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kompakt._core.errors import InputError
from kompakt.bench import DEFAULT, PEERS, BenchResult, expand, families
from kompakt.bench._journal import Journal
from kompakt.bench._measure import measure
from kompakt.bench._network import Network
from kompakt.bench._plan import Plan, usable_cores
from kompakt.bench._statistics import snr_db
from kompakt.bench.peers import Peer

LEAST_SNR_DB = {
    "fp32": 60, "bf16": 20, "int8": 15, "nncf": 15, "eager": 60, "nbits8": 20, "nbits4": 10, "nbits2": 0,
    "weights8": 20, "weights4": 10, "int4": 10, "int2": 10,
}  # fmt: skip
COMPILED = ("torch:compiled", "torch:int8")


class TinyNet(nn.Module):
    """Convolutions with batch-norm, a residual sum, a pool, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head(torch.relu(x + self.body(x)).mean((2, 3)))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    images = np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype(np.float32)
    yield Network(TinyNet(), images, tmp_path_factory.mktemp("onnx"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def linear_network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    torch.manual_seed(0)
    inputs = np.random.default_rng(0).normal(size=(16, 128)).astype(np.float32)
    module = nn.Sequential(nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 4))
    with torch.no_grad():
        for layer in (module[0], module[2]):
            layer.weight.copy_(layer.weight.sign() * 0.1)  # which 2 bits hold without much error
    return Network(module, inputs, tmp_path_factory.mktemp("onnx"))


def measured(network: Network, plan: Plan, progress=lambda text, done: None) -> BenchResult:
    blank = BenchResult("net", "portable", {"sha256": ""}, (), ())
    journal = Journal(blank)
    measure(lambda threads: network.reference, network, plan, journal, progress)
    return journal.result


def skip_where_missing(name: str) -> None:
    missing = PEERS[name].missing()
    if missing:
        pytest.skip(f"{name} needs {', '.join(missing)}: pip install 'kompakt[bench]'")


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", [name for name in PEERS if name not in COMPILED])
def test_output_is_that_of_the_float_network(network: Network, linear_network: Network, name: str, batch: int) -> None:
    skip_where_missing(name)
    if PEERS[name].is_linear_only:
        network = linear_network
    run = PEERS[name].build(network, 1, batch)
    images = network.calibration[:batch]
    reference, output = network.reference(images), np.asarray(run(images))
    assert output.shape == reference.shape == (batch, 4)
    assert output.dtype == np.float32
    assert snr_db(reference, output) > LEAST_SNR_DB[name.split(":")[1]]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler warns about torch
def test_the_compiled_module_runs_too(network: Network) -> None:
    images = network.calibration[:1]
    output = PEERS["torch:compiled"].build(network, 1, 1)(images)
    assert snr_db(network.reference(images), output) > 60


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler and torchao warn about themselves
def test_the_quantized_compiled_module_runs_too(network: Network) -> None:
    skip_where_missing("torch:int8")
    images = network.calibration[:2]
    assert 15 < snr_db(network.reference(images), PEERS["torch:int8"].build(network, 1, 2)(images)) < 60


def test_int8_differs_from_float(network: Network) -> None:
    skip_where_missing("onnxruntime:int8")
    images = network.calibration[:4]
    output = PEERS["onnxruntime:int8"].build(network, 1, 4)(images)
    assert snr_db(network.reference(images), np.asarray(output)) < 60


def test_the_module_of_the_caller_is_not_changed(tmp_path: Path) -> None:
    module = TinyNet().train()
    Network(module, np.zeros((1, 3, 8, 8), np.float32), tmp_path).reference(np.zeros((1, 3, 8, 8), np.float32))
    assert module.training


def test_what_is_not_installed_is_named(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    absent_peer = Peer(("numpy", "no_such_package"), PEERS["torch:eager"].build, "nothing")
    monkeypatch.setitem(PEERS, "absent:fp32", absent_peer)
    plan = Plan(("absent:fp32", "torch:eager"), rounds=6, seconds=0.01)
    found = measured(network, plan)
    assert found.absent == {"absent:fp32": "not installed: pip install no-such-package"}
    assert [row.engine for row in found.own + found.rows] == ["kompakt", "torch:eager"]


def test_engines_of_linear_layers_are_not_given_other_networks(network: Network, linear_network: Network) -> None:
    assert linear_network.is_linear
    found = measured(network, Plan(("onnxruntime:nbits4",), rounds=6, seconds=0.01))
    assert found.absent == {"onnxruntime:nbits4": "runs networks of fully connected layers only"}


def test_a_peer_that_fails_is_reported_and_the_others_run(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(network: Network, threads: int, batch: int) -> None:
        raise RuntimeError("no such operator\nand a long trace")

    monkeypatch.setitem(PEERS, "broken:fp32", Peer((), build, "nothing"))  # type: ignore[arg-type]
    plan = Plan(("broken:fp32", "torch:eager"), batches=(1, 2), rounds=6, seconds=0.01)
    heard: list[tuple[str, float]] = []
    found = measured(network, plan, lambda text, done: heard.append((text, done)))
    assert found.absent == {"broken:fp32": "failed at threads 1, batch 1: RuntimeError: no such operator"}
    assert [(row.engine, row.batch) for row in found.rows] == [("torch:eager", 1), ("torch:eager", 2)]
    assert [row.batch for row in found.own] == [1, 2]
    assert heard[0] == ("kompakt, threads 1, batch 1", 0.0)
    assert heard[-1] == ("done", 1.0)


def test_default_peers_exist_and_compiling_is_only_on_request() -> None:
    assert set(DEFAULT) < set(PEERS)
    assert not set(COMPILED) & set(DEFAULT)


@pytest.mark.parametrize("family", families())
def test_the_name_of_a_family_stands_for_all_of_its_modes(family: str) -> None:
    assert expand((family,)) == tuple(name for name in PEERS if name.startswith(f"{family}:"))


def test_names_are_expanded_once_and_in_order() -> None:
    assert expand(("torch:compiled", "torch"))[0] == "torch:compiled"
    assert sorted(expand(("torch:compiled", "torch"))) == sorted(expand(("torch",)))
    assert expand(("all",)) == tuple(PEERS)
    assert expand(()) == ()


@pytest.mark.parametrize(("word", "near"), [("torhc", "'torch'"), ("onnxruntime:int9", "'onnxruntime:int8'")])
def test_other_names_are_refused(word: str, near: str) -> None:
    with pytest.raises(InputError, match=f"no engine '{word}'; did you mean .*{near}"):
        expand((word,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"against": ("onnxruntime:fp16",)}, "no engine 'onnxruntime:fp16'; did you mean 'onnxruntime:fp32'"),
        ({"threads": ()}, "threads: expected counts from 1 to"),
        ({"threads": (0,)}, "threads: expected counts from 1 to"),
        ({"threads": (usable_cores() + 1,)}, "threads: expected counts from 1 to"),
        ({"batches": (0,)}, "batches: expected sizes of at least 1"),
        ({"batches": ()}, "batches: expected sizes of at least 1"),
        ({"rounds": 5}, "rounds: expected at least 6"),
        ({"seconds": 0.0}, "seconds: expected a positive"),
        ({"seconds": float("nan")}, "seconds: expected a positive"),
        ({"row_limit_s": 0}, "limit: expected at least 1 second"),
    ],
)
def test_impossible_plans_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan(**({"against": ()} | changes))
