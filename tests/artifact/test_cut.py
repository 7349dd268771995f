"""Files cut to fewer bits: truncation, independence of the way, equality of engine and reference, budgets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from kompakt import load
from kompakt._core.errors import InputError
from kompakt.artifact import Program, from_bytes, to_bytes
from kompakt.artifact.cut import coarser, cut, nested_layers
from kompakt.cli.app import cli
from kompakt.engine import reference
from kompakt.measure.refinement import bits_for_bytes, greedy_path, relative_errors
from kompakt.quant import Quantizer, method
from kompakt.strategy.job import Compressed, prepare

IMAGES = torch.randn(30, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)
        self.a, self.b = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.a, self.b):
            x = torch.relu(layer(x))
        return self.last(x.mean((2, 3)))


@pytest.fixture(scope="module")
def small() -> Compressed:
    torch.manual_seed(0)
    return prepare(Net().eval(), "scalable", IMAGES).finish()


@pytest.fixture(scope="module")
def program(small) -> Program:
    return small.program


def weight(program: Program, name: str):
    return next(node.attrs["weight"] for node in program.nodes if node.name == name)


def test_inner_layers_are_nested(program):
    assert nested_layers(program) == {"a": 6, "b": 6}


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5])
def test_a_cut_is_what_quantizing_to_fewer_bits_gives(small, bits):
    slot = small.job.graph.module.get_submodule("a").parametrizations.weight
    fewer = Quantizer(method("scalable"), bits, True, 8)
    fewer.fit(slot.original.detach())
    codes, encoding, scale = fewer.encode(slot.original.detach())
    found = coarser(weight(small.program, "a"), bits)
    assert np.array_equal(found.codes, codes)
    assert np.array_equal(found.codes, weight(small.program, "a").codes >> (6 - bits))
    assert found.encoding == encoding
    assert np.array_equal(scale, slot[0].quantizer.encoding()[1])


def test_every_way_down_gives_the_same_bytes(program):
    at_once = to_bytes(cut(program, {"a": 2, "b": 2}))
    for middle in (3, 4, 5):
        step = from_bytes(to_bytes(cut(program, {"a": middle, "b": 6})))[0]
        assert to_bytes(cut(step, {"a": 2, "b": 2})) == at_once


@pytest.mark.parametrize("bits", [1, 3, 5, 6])
def test_a_cut_runs_in_the_engine_as_in_the_reference(program, bits):
    found = cut(program, {"a": bits, "b": max(1, bits - 1)})
    data = to_bytes(found)
    assert np.array_equal(load(data).run(IMAGES.numpy()), reference.run(found, IMAGES.numpy()))
    assert len(data) <= len(to_bytes(program))


def test_fewer_bits_are_farther_from_the_network(small):
    expected = small.engine().run(IMAGES.numpy())
    distances = [
        float(np.square(load(to_bytes(cut(small.program, {"a": b, "b": b}))).run(IMAGES.numpy()) - expected).mean())
        for b in (1, 3, 5)
    ]
    assert distances[0] > distances[1] > distances[2] > 0
    for errors in relative_errors(small.program).values():
        assert all(x > y for x, y in itertools.pairwise(errors))
        assert errors[-1] == 0


def test_budgets_are_kept_and_nested(program):
    full = len(to_bytes(program))
    smallest = len(to_bytes(cut(program, {"a": 1, "b": 1})))
    before = {"a": 1, "b": 1}
    for budget in range(smallest, full + 65, 64):
        bits = bits_for_bytes(program, budget)
        assert len(to_bytes(cut(program, bits))) <= budget
        assert all(bits[name] >= before[name] for name in bits)
        before = bits
    assert before == {"a": 6, "b": 6}
    with pytest.raises(InputError, match=f"one bit in every layer still takes {smallest} bytes"):
        bits_for_bytes(program, smallest - 1)


@pytest.mark.parametrize("seed", range(5))
def test_the_greedy_path_is_optimal_at_its_own_sizes(seed):
    """Against all choices of 4 layers at 5 rates; errors made convex, as those of real layers nearly are."""
    rng = np.random.default_rng(seed)
    errors = [np.sort(rng.random(5))[::-1].tolist() for _ in range(4)]
    sizes = [(np.arange(1, 6) * rng.integers(1, 20)).tolist() for _ in range(4)]
    at = [0, 0, 0, 0]
    for item, choice in greedy_path(errors, sizes):
        assert choice > at[item]
        at[item] = choice
        size = sum(sizes[i][c] for i, c in enumerate(at))
        best = min(
            sum(errors[i][c] for i, c in enumerate(choices))
            for choices in itertools.product(range(5), repeat=4)
            if sum(sizes[i][c] for i, c in enumerate(choices)) <= size
        )
        assert sum(errors[i][c] for i, c in enumerate(at)) == pytest.approx(best)


def test_what_cannot_be_cut_is_refused(program):
    with pytest.raises(InputError, match="aa: not a layer of nested codes; did you mean 'a'"):
        cut(program, {"aa": 2})
    for wanted in (0, 7):
        with pytest.raises(InputError, match=f"a: has 6 bits, expected 1 to that many, got {wanted}"):
            cut(program, {"a": wanted})


def test_the_command(small, tmp_path):
    source, target = tmp_path / "model.kpt", tmp_path / "cut.kpt"
    small.save(source)
    run = CliRunner().invoke(cli, ["cut", str(source), "--bits", "3", "-o", str(target)])
    assert run.exit_code == 0, run.output
    found, metadata = from_bytes(target.read_bytes())
    assert nested_layers(found) == {"a": 3, "b": 3}
    assert metadata == from_bytes(source.read_bytes())[1]
    assert CliRunner().invoke(cli, ["cut", str(source), "-o", str(target)]).exit_code == 2
    budget = len(target.read_bytes())
    run = CliRunner().invoke(cli, ["cut", str(source), "--bytes", str(budget), "-o", str(target), "--json"])
    assert run.exit_code == 0, run.output
    assert len(target.read_bytes()) <= budget
