"""Post-training quantization to int8 beside other tools: the same network, the same calibration images, the same bits.

    python benchmarks/ptq.py [--net NAME] [--data NAME] [--images 256] [--seeds 3]

ONNX Runtime and NNCF start from an ONNX file of the float network, ours from the module; that file
is made before the clock starts. Time is that of the process, all its threads. Writes benchmarks/ptq/NET.json, which
`kompakt results` puts on the page.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kompakt
from kompakt.bench._clock import alternate
from kompakt.bench._cores import pinned
from kompakt.bench._machine import machine
from kompakt.bench._network import Network
from kompakt.bench._statistics import paired_ratio
from kompakt.bench.peers import PEERS
from kompakt.data import Dataset
from kompakt.strategy import load_recipe, prepare
from kompakt.strategy.sources import ModelSource, load_data, load_model

ROOT = Path(__file__).parents[1]
OURS, RECIPE = "kompakt:int8", "int8"
TOOLS: dict[str, Callable[[Network], Any]] = {
    "onnxruntime:int8": lambda network: network.quantized_onnx,
    "openvino:nncf": lambda network: network.nncf,
}
BATCH, ROUNDS, SECONDS = 250, 12, 2.0
Runner = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", default="cifar10-resnet20")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(f"zoo:{arguments.net}")
    dataset = load_data(arguments.data, model)
    rows: dict[str, dict[str, Any]] = {name: {"tool": name, "top1": [], "seconds": []} for name in (OURS, *TOOLS)}
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as folder, pinned(1):
            float_top1 = measure(model, dataset, arguments.images, seed, Path(folder), rows)
    facts = machine()
    record = {
        "net": arguments.net, "data": arguments.data, "calibration_images": arguments.images,
        "test_images": len(dataset.test), "float_top1": float_top1, "rows": list(rows.values()),
        "machine": facts["cpu"], "commit": facts["commit"], "versions": facts["versions"],
    }  # fmt: skip
    path = ROOT / "benchmarks" / "ptq" / f"{arguments.net}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(path)


def measure(
    model: ModelSource, dataset: Dataset, images: int, seed: int, folder: Path, rows: dict[str, dict[str, Any]]
) -> float:
    """Add the figures of one seed to `rows`. Returns: accuracy of the float network, percent."""
    chosen = np.random.default_rng(seed).choice(len(dataset.train), images, replace=False)
    calibration = dataset.normalise(dataset.train.images[chosen])
    network = Network(model.module, calibration, folder)
    float_top1 = accuracy(PEERS["onnxruntime:fp32"].build(network, 1, BATCH), dataset)
    ours = timed(rows[OURS], lambda: packed(model, calibration))
    keep(rows[OURS], len(ours), accuracy(kompakt.load(ours), dataset))
    for name, quantize in TOOLS.items():
        made = timed(rows[name], partial(quantize, network))
        keep(rows[name], size_of(made, folder), accuracy(PEERS[name].build(network, 1, BATCH), dataset))
        if seed == 0:
            pair = alternate(kompakt.load(ours), PEERS[name].build(network, 1, 1), calibration[:1], ROUNDS, SECONDS)
            found = paired_ratio(pair[1].rounds("cpu"), pair[0].rounds("cpu"))
            rows[name] |= {"ratio": round(found.median, 3), "ratio_band": [round(b, 3) for b in found.band]}
    for row in rows.values():
        print(f"seed {seed} {row['tool']}: {row['top1'][-1]:.2f} %, {row['seconds'][-1]:.1f} s", flush=True)
    return float_top1


def packed(model: ModelSource, calibration: np.ndarray) -> bytes:
    batch = torch.from_numpy(calibration)
    return prepare(model.module, load_recipe(RECIPE), batch[:2], batch).finish().to_bytes()


def timed(row: dict[str, Any], make: Callable[[], Any]) -> Any:
    started = time.process_time()
    result = make()
    row["seconds"].append(round(time.process_time() - started, 2))
    return result


def keep(row: dict[str, Any], size: int, top1: float) -> None:
    row["bytes"] = size
    row["top1"].append(round(top1, 4))


def size_of(made: Any, folder: Path) -> int:
    """Bytes on disk of an ONNX file, or of an OpenVINO model with its weights."""
    if isinstance(made, Path):
        return made.stat().st_size
    import openvino

    openvino.save_model(made, folder / "saved.xml")
    return sum((folder / f"saved.{end}").stat().st_size for end in ("xml", "bin"))


def accuracy(run: Runner, dataset: Dataset) -> float:
    """Percent of right answers on the whole test split."""
    images, labels = dataset.test.images, dataset.test.labels
    right = 0
    for i in range(0, len(images), BATCH):
        right += int((run(dataset.normalise(images[i : i + BATCH])).argmax(1) == labels[i : i + BATCH]).sum())
    return 100 * right / len(images)


if __name__ == "__main__":
    main()
