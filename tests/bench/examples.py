"""Results made by hand, for tests of what is said about them."""

from __future__ import annotations

from typing import Any

from kompakt.bench import BenchResult, Row
from kompakt.bench._statistics import Ratio


def row(engine: str, ratio: float, spread: float = 0.01, threads: int = 1, batch: int = 1) -> Row:
    """A row whose band and interval leave its ratio by `spread`, relatively."""
    bounds = (ratio * (1 - spread), ratio * (1 + spread))
    clock = "cpu" if threads == 1 else "wall"
    return Row(
        engine, threads, batch, clock, 0.3 * ratio, 0.31 * ratio, 0.32 * ratio, Ratio(ratio, bounds, bounds), 31.0
    )


def result(*rows: Row, own: tuple[Row, ...] = (), **fields: Any) -> BenchResult:
    """A result with one quiet A/A row unless others are given."""
    return BenchResult(
        net="tiny", isa="avx2", file={"name": "tiny.kpt", "bytes": 1234, "sha256": "0" * 64}, rows=rows,
        own=own or (row("kompakt", 1.0),), machine={"cpu": "A processor", "versions": {"kompakt": "0.1.0"}}, **fields,
    )  # fmt: skip


def accuracy(**changes: Any) -> dict[str, Any]:
    """A record of one run."""
    record = {
        "system": "lq_nets", "recipe": "w2a2", "model": "zoo:cifar10-resnet20", "dataset": "cifar10",
        "bits": {"weights": 2, "activations": 2, "first_last": 8}, "protocol": "short", "seeds": [0],
        "commit": "0123456789ab", "machine": "A processor", "train_s": 3600.0, "float_top1": 91.73, "engine_top1": 89.9,
        "published": {"value": 90.2, "source": "A paper, table 1"}, "float_bytes": 1_092_520, "file_bytes": 87_504,
        "file_breakdown": {"codes": 70_000, "floats": 4_000}, "macs": 40_551_040, "bops": 300_000_000,
        "latency_ratio": {"onnxruntime:int8": 1.1},
    }  # fmt: skip
    return record | changes
