"""A network on parts of a batch computes what it computes on the whole, corrections and calibration included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kompakt.graph import parts, run_in_parts, trace
from kompakt.graph.parts import RunInParts
from kompakt.quant.rows import input_rows, output_rows
from kompakt.strategy import load_recipe, prepare

BATCH = torch.randn(50, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ONE_SAMPLE = 8 * 8 * 8 * 4  # bytes of the largest value of `Branches`


class Branches(nn.Module):
    """Concatenation, addition, a constant, a pool, reshapes: what passes lists, numbers and several values on."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.next = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.head = nn.Linear(8 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([torch.relu(self.left(x)), torch.relu(self.right(x))], 1)
        x = torch.relu(self.next(x) + x)
        return self.head(torch.max_pool2d(x, 2).flatten(1))


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(6, 8, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0])


@pytest.fixture
def small_parts(monkeypatch):
    """Seven samples a part: the last one is smaller."""
    monkeypatch.setattr(parts, "PART_BYTES", 7 * ONE_SAMPLE)


def built(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


def test_the_output_is_that_of_the_whole_batch(small_parts):
    graph = trace(built(Branches), BATCH[:1])
    assert RunInParts(graph).size == 7
    found = run_in_parts(graph, BATCH)
    torch.testing.assert_close(found, graph.module(BATCH).detach(), rtol=1e-5, atol=1e-5)
    assert not found.requires_grad


def test_a_sample_that_is_larger_than_a_part_is_a_part(monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    graph = trace(built(Branches), BATCH[:1])
    torch.testing.assert_close(run_in_parts(graph, BATCH), graph.module(BATCH).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("recipe", ["int8", "w4a8", "w4a4-lsq"])
def test_calibration_and_corrections_see_the_whole_batch(recipe, monkeypatch):
    found = []
    for size in (7 * ONE_SAMPLE, 1 << 30):
        monkeypatch.setattr(parts, "PART_BYTES", size)
        job = prepare(built(Branches), load_recipe(recipe), BATCH)
        found.append({key: value.detach() for key, value in job.graph.module.state_dict().items()})
    for key in found[0]:
        if key.endswith("original"):  # an error of the last bit may round a weight the other way
            assert (~torch.isclose(found[0][key], found[1][key], rtol=1e-3, atol=1e-4)).float().mean() < 0.03
        else:
            torch.testing.assert_close(found[0][key], found[1][key], rtol=1e-2, atol=1e-3)


def test_quantizers_inside_a_recurrent_cell_are_fitted_to_the_whole_batch(monkeypatch):
    x, steps = torch.randn(40, 9, 6, generator=torch.Generator().manual_seed(0)), []
    x[:10] *= 8  # the last part alone has other ranges
    for size in (9 * 32 * 4 * 4, 1 << 30):
        monkeypatch.setattr(parts, "PART_BYTES", size)
        job = prepare(built(Sequence), load_recipe("int8"), x)
        steps.append(
            {k: v for k, v in job.graph.module.state_dict().items() if k.endswith("state.quantizer.rule.step")}
        )
    assert steps[0]
    for key, step in steps[0].items():
        torch.testing.assert_close(step, steps[1][key])


@pytest.mark.parametrize("sizes", [(50,), (7, 7, 7, 7, 7, 7, 7, 1)])
def test_rows_of_inputs_and_outputs_belong_together_in_parts(sizes):
    layer = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
    with torch.no_grad():
        x = parts.Parts(torch.split(BATCH, list(sizes)))
        y = parts.Parts(tuple(layer(part) for part in x.values))
        rows = input_rows(layer, x, 300)[0]
        found = output_rows(y, 300)
    torch.testing.assert_close(rows @ layer.weight.detach().flatten(1).T, found, rtol=1e-4, atol=1e-5)
    assert 200 < len(found) < 500
