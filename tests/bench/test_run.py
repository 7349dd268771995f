"""A benchmark of a real file from beginning to end, short; and what is refused before it starts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kompakt._core.errors import ArtifactError, InputError
from kompakt.artifact import to_bytes
from kompakt.bench import Plan, Subject, format_table, run_bench
from support.programs import random_input, resnet_like_program

PROGRAM = resnet_like_program(3, widths=(8,), size=8)
IMAGES = random_input(PROGRAM, 0, batch=4)


DATA = to_bytes(PROGRAM, {"recipe": "version=1\nname=tiny-recipe"})
ALONE = Plan((), rounds=6, seconds=0.02)


def subject(**changes: Any) -> Subject:
    return Subject(**({"name": "tiny", "data": DATA, "module": module(), "calibration": IMAGES} | changes))


def module(outputs: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, outputs))


def test_every_setting_has_an_own_row_and_one_per_peer() -> None:
    threads = torch.get_num_threads()
    heard: list[float] = []
    plan = Plan(("torch:eager",), threads=(1,), batches=(1, 3), rounds=6, seconds=0.02)
    result = run_bench(subject(bits="w2a2"), plan, lambda text, done: heard.append(done))
    assert [(row.engine, row.threads, row.batch) for row in result.own] == [("kompakt", 1, 1), ("kompakt", 1, 3)]
    assert [(row.engine, row.threads, row.batch) for row in result.rows] == [
        ("torch:eager", 1, 1),
        ("torch:eager", 1, 3),
    ]
    assert all(row.clock == "cpu" and row.ms_p10 > 0 and row.ratio.median > 0 for row in result.own + result.rows)
    assert all(row.snr_db > 60 for row in result.rows)
    assert (result.net, result.bits, result.hidden) == ("tiny", "w2a2", {})
    assert result.file["bytes"] == len(DATA)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert torch.get_num_threads() == threads
    machine = result.machine
    assert machine["cpu"]
    assert machine["versions"]["torch"] == torch.__version__
    assert "A/A" in format_table(result)


def test_own_rows_carry_the_error_of_the_file_against_the_module() -> None:
    result = run_bench(subject(), ALONE)
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
def test_data_that_do_not_fit_are_refused(calibration: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_bench(subject(calibration=calibration), ALONE)


def test_a_module_of_another_network_is_refused() -> None:
    with pytest.raises(InputError, match=r"with output \(1, 10\), got output \(1, 7\)"):
        run_bench(subject(module=module(7)), ALONE)


def test_a_damaged_file_is_refused() -> None:
    with pytest.raises(ArtifactError):
        run_bench(subject(data=DATA[:-1]), ALONE)


def test_rows_are_kept_and_a_run_goes_on_with_them(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    plan = Plan(("torch:eager",), rounds=6, seconds=0.02)
    first = run_bench(subject(), plan, keep=path)
    heard: list[str] = []
    again = run_bench(subject(), plan, lambda text, done: heard.append(text), path, resume=True)
    assert heard == ["done"]
    assert again.to_dict()["rows"] == first.to_dict()["rows"]


def test_another_measurement_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    run_bench(subject(), ALONE, keep=path)
    with pytest.raises(InputError, match=r"holds another measurement \(net 'tiny', now 'other'\); remove it"):
        run_bench(subject(name="other"), ALONE, keep=path, resume=True)
    path.write_text("[]")
    with pytest.raises(InputError, match="cannot be continued, not a benchmark"):
        run_bench(subject(), ALONE, keep=path, resume=True)


CRASH = """
import sys
from pathlib import Path
from dataclasses import replace
from kompakt.bench import BenchResult
from kompakt.bench._journal import Journal
journal = Journal(BenchResult("net", "avx2", {"sha256": ""}, (), ()), Path(sys.argv[1]), True)
if journal.has("slow:fp32", (1, 1)):
    sys.exit(0)
with journal.attempt("slow:fp32", (1, 1), 1):
    while True:
        pass
"""


def test_an_engine_that_never_ends_ends_the_process_and_is_left_out_of_the_next(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    command = [sys.executable, "-c", CRASH, str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGALRM
    assert "did not finish within 1 s at threads 1, batch 1" in json.loads(path.read_text())["absent"]["slow:fp32"]
    assert subprocess.run(command, check=False).returncode == 0
