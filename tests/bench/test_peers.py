"""Peers run the very network they are given; what is not installed is said, with what to install."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kompakt._core.errors import InputError
from kompakt.bench import DEFAULT, PEERS
from kompakt.bench._measure import measure
from kompakt.bench._network import Network
from kompakt.bench._plan import Plan, usable_cores
from kompakt.bench._statistics import snr_db
from kompakt.bench.peers import Peer

LEAST_SNR_DB = {"fp32": 60, "int8": 15, "nncf": 15, "eager": 60}


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


def skip_where_missing(name: str) -> None:
    missing = PEERS[name].missing()
    if missing:
        pytest.skip(f"{name} needs {', '.join(missing)}: pip install 'kompakt[bench]'")


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", [name for name in PEERS if name != "torch:compiled"])
def test_output_is_that_of_the_float_network(network: Network, name: str, batch: int) -> None:
    skip_where_missing(name)
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
    own, rows, absent = measure(lambda threads: network.reference, network, plan, lambda text, done: None)
    assert absent == {"absent:fp32": "not installed: pip install no_such_package"}
    assert [row.engine for row in own + rows] == ["kompakt", "torch:eager"]


def test_a_peer_that_fails_is_reported_and_the_others_run(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(network: Network, threads: int, batch: int) -> None:
        raise RuntimeError("no such operator\nand a long trace")

    monkeypatch.setitem(PEERS, "broken:fp32", Peer((), build, "nothing"))  # type: ignore[arg-type]
    plan = Plan(("broken:fp32", "torch:eager"), batches=(1, 2), rounds=6, seconds=0.01)
    heard: list[tuple[str, float]] = []
    own, rows, absent = measure(
        lambda threads: network.reference, network, plan, lambda text, done: heard.append((text, done))
    )
    assert absent == {"broken:fp32": "failed at threads 1, batch 1: RuntimeError: no such operator"}
    assert [(row.engine, row.batch) for row in rows] == [("torch:eager", 1), ("torch:eager", 2)]
    assert [row.batch for row in own] == [1, 2]
    assert heard[0] == ("kompakt, threads 1, batch 1", 0.0)
    assert heard[-1] == ("done", 1.0)


def test_default_peers_exist_and_compiling_is_only_on_request() -> None:
    assert set(DEFAULT) < set(PEERS)
    assert "torch:compiled" not in DEFAULT


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
    ],
)
def test_impossible_plans_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan(**({"against": ()} | changes))
