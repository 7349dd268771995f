"""A benchmark of a real file from beginning to end, short; and what is refused before it starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kompakt._core.errors import ArtifactError, InputError
from kompakt.artifact import save as save_program
from kompakt.bench import format_table, run_bench
from support.programs import random_input, resnet_like_program

PROGRAM = resnet_like_program(3, widths=(8,), size=8)
IMAGES = random_input(PROGRAM, 0, batch=4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_program(tmp_path / "tiny.kpt", PROGRAM, {"recipe": "version=1\nname=tiny-recipe"})
    return tmp_path / "tiny.kpt"


def module(outputs: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, outputs))


def test_every_setting_has_an_own_row_and_one_per_peer(path: Path) -> None:
    threads = torch.get_num_threads()
    heard: list[float] = []
    result = run_bench(
        path, module(), IMAGES, ["torch:eager"], threads=[1], batches=[1, 3], rounds=6, seconds=0.02,
        progress=lambda text, done: heard.append(done),
    )  # fmt: skip
    assert [(row.engine, row.threads, row.batch) for row in result.own] == [("kompakt", 1, 1), ("kompakt", 1, 3)]
    assert [(row.engine, row.threads, row.batch) for row in result.rows] == [
        ("torch:eager", 1, 1),
        ("torch:eager", 1, 3),
    ]
    assert all(row.clock == "cpu" and row.ms_p10 > 0 and row.ratio.median > 0 for row in result.own + result.rows)
    assert all(row.snr_db > 60 for row in result.rows)
    assert result.net == "tiny-recipe"
    assert result.file["bytes"] == path.stat().st_size
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert torch.get_num_threads() == threads
    machine = result.machine
    assert machine["cpu"]
    assert machine["versions"]["torch"] == torch.__version__
    assert "A/A" in format_table(result)


def test_own_rows_carry_the_error_of_the_file_against_the_module(path: Path) -> None:
    result = run_bench(path, module(), IMAGES, [], rounds=6, seconds=0.02)
    assert result.own[0].snr_db < 20  # this module has nothing to do with the file
    assert result.rows == ()


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (IMAGES.astype(np.float64), r"expected float32 \(N, 3, 8, 8\) with N > 0, got float64"),
        (IMAGES[:, :2], r"got float32 \(4, 2, 8, 8\)"),
        (IMAGES[:0], r"got float32 \(0, 3, 8, 8\)"),
        (torch.from_numpy(IMAGES), "expected a NumPy array, .* got Tensor"),
    ],
)
def test_data_that_does_not_fit_is_refused(path: Path, calibration: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_bench(path, module(), calibration, [])


def test_a_module_of_another_network_is_refused(path: Path) -> None:
    with pytest.raises(InputError, match=r"with output \(1, 10\), got output \(1, 7\)"):
        run_bench(path, module(7), IMAGES, [])


def test_a_damaged_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError):
        run_bench(path, module(), IMAGES, [])
