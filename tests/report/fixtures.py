"""Run folders for the tests: a ResNet-20 on CIFAR-10 at 2-bit weights and activations, first and last layer 8-bit."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

LEVELS = {2: (-1.5, -0.5, 0.5, 1.5), 8: tuple(float(i) for i in range(-128, 128))}


def histogram(sigma: float, count: int, bins: int = 60) -> dict[str, list[float]]:
    """Expected counts of `count` values of N(0, sigma^2) between -4 sigma and 4 sigma, a little skewed."""
    edges = [sigma * (8 * i / bins - 4) for i in range(bins + 1)]
    below = [0.5 * (1 + math.erf(edge / sigma / math.sqrt(2))) for edge in edges]
    return {"edges": edges, "counts": [round(count * (b - a) * (1 + 0.04 * math.sin(2.6 * i)))
                                       for i, (a, b) in enumerate(pairwise(below))]}  # fmt: skip


def layer(name: str, shape: list[int], pixels: int, bits: int, activation_bits: int, place: int) -> dict[str, Any]:
    """One layer with plausible numbers; `pixels` is the number of output positions."""
    params = math.prod(shape)
    sigma = math.sqrt(2 / math.prod(shape[1:])) * (1 + 0.1 * math.sin(place))
    step = sigma * (0.9957 if bits == 2 else 4 / 128)
    return {
        "name": name, "op": "conv2d" if len(shape) == 4 else "linear", "shape": shape, "params": params,
        "macs": params * pixels, "bops": params * pixels * bits * activation_bits, "weight_bits": bits,
        "activation_bits": activation_bits, "method": "lq_nets" if bits == 2 else "lsq",
        "packed_bytes": -(-params * bits // 8), "float_bytes": 4 * params,
        "kernel": "planes2_u2_avx512" if bits == 2 else "dot_u8_s8_i32_avx512",
        "snap_error": 0.0031 + 0.0004 * math.cos(place),
        "weight_error": 0.1188 * (1 + 0.1 * math.sin(place)) if bits == 2 else 2.1e-5,
        "histogram": histogram(sigma, params), "levels": [step * level for level in LEVELS[bits]],
    }  # fmt: skip


def layers() -> list[dict[str, Any]]:
    """The 19 convolutions and the linear layer of ResNet-20."""
    found = [layer("conv1", [16, 3, 3, 3], 1024, 8, 8, 0)]
    width_in = 16
    for stage, (width, pixels) in enumerate([(16, 1024), (32, 256), (64, 64)], 1):
        for block in range(3):
            for conv in (1, 2):
                found.append(
                    layer(f"layer{stage}.{block}.conv{conv}", [width, width_in, 3, 3], pixels, 2, 2, len(found))
                )
                width_in = width
    return [*found, layer("linear", [10, 64], 1, 8, 8, len(found))]


def bench(engine: str, median: float, ratio: float) -> dict[str, Any]:
    """One row of `kompakt bench --json`, times in milliseconds."""
    return {"engine": engine, "threads": 1, "batch": 1, "clock": "cpu", "ms_p10": round(median * 0.96, 3),
            "ms_median": median, "ratio": ratio,
            "ratio_band": [round(ratio * 0.96, 2), round(ratio * 1.04, 2)]}  # fmt: skip


def result() -> dict[str, Any]:
    """A complete `result.json`."""
    found = layers()
    codes = sum(one["packed_bytes"] for one in found)
    sections = {"manifest": 8128, "codes": codes, "bases": 1376, "floats": 696, "thresholds": 8256, "directions": 688,
                "header": 768}  # fmt: skip
    params, macs = sum(one["params"] for one in found), sum(one["macs"] for one in found)
    return {
        "name": "resnet20-w2a2-lq", "model": "ResNet-20", "dataset": "CIFAR-10", "recipe": {"name": "w2a2-lq"},
        "method": "lq_nets", "bits": {"weights": 2, "activations": 2, "first_last": 8}, "protocol": "short", "seed": 0,
        "train_s": 15120.0, "threads": 1, "epochs": 60,
        "float": {"top1": 91.73, "bytes": 1092520, "params": params + 1386, "macs": macs},
        "fake_quant": {"top1": 90.38},
        "engine": {"top1": 90.37, "images": 10000, "argmax_equal_to_fake_quant": 9999,
                   "bit_equal_to_reference": {"images": 256, "values": 2560, "equal": True},
                   "max_abs_logit_difference": 3.1e-05},
        "file_bytes": sum(sections.values()), "sections": sections, "bops": sum(one["bops"] for one in found),
        "macs": macs, "layers": found,
        "skipped": [{"name": "layer2.0.shortcut", "reason": "no weights: strided slice and zero padding"},
                    {"name": "layer3.0.shortcut", "reason": "no weights: strided slice and zero padding"}],
        "published": {"value": 90.2, "source": "Zhang et al., LQ-Nets, ECCV 2018, Table 5 (ResNet-20, 2/2 bits)"},
        "latency": {"net": "resnet20", "isa": "avx512", "aa_ratio": 1.004, "aa_rows": [bench("kompakt", 0.64, 1.004)],
                    "rows": [bench("openvino:fp32", 1.05, 1.64), bench("openvino:int8", 0.57, 0.89),
                             bench("onnxruntime:fp32", 1.49, 2.33)],
                    "absent": {"openvino:nncf": "nncf is not installed"},
                    "sentences": ["1 thread, batch 1: Kompakt is slower than openvino:int8 (0.89x); "
                                  "faster than openvino:fp32 (1.64x), onnxruntime:fp32 (2.33x)."]},
    }  # fmt: skip


def metrics(epochs: int = 60) -> list[dict[str, Any]]:
    """`metrics.jsonl`: calibration, training, then training through the snapped levels."""
    lines: list[dict[str, Any]] = [{"event": "stage", "name": "train", "seconds": 0.0}]
    for epoch in range(epochs):
        if epoch == epochs - 10:
            lines.append({"event": "stage", "name": "snap", "seconds": epoch * 250.0})
        progress = (epoch + 1) / epochs
        loss = 0.12 + 0.9 * math.exp(-3.2 * progress) + 0.03 * math.sin(2.1 * epoch) * (1 - progress)
        lines += [{"event": "step", "epoch": epoch, "step": epoch * 4 + i, "loss": loss + 0.02 * math.sin(7 * i),
                   "lr": 0.05 * (1 - progress)} for i in range(4)]  # fmt: skip
        top1 = 90.37 - 9.5 * (1 - progress) ** 1.6 + 0.5 * math.sin(1.7 * epoch) * (1 - progress)
        lines.append({"event": "epoch", "epoch": epoch, "loss": loss, "val_top1": round(top1, 2),
                      "seconds": (epoch + 1) * 250.0})  # fmt: skip
    return lines


def env() -> dict[str, Any]:
    """`env.json`."""
    return {"versions": {"kompakt": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "numpy": "2.4.0"},
            "cpu": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "isa": "avx512", "seed": 0,
            "data_hash": "9c1e5f0d7b32", "commit": "552e6e9"}  # fmt: skip


RECIPE = """version = 1

[model]
name = "cifar10-resnet20"

[[stage]]
kind = "train"           # quantizers in place, bases learned
epochs = 50
weights = { method = "lq_nets", bits = 2 }
activations = { method = "lq_nets", bits = 2 }

[[stage]]
kind = "train"           # through the snapped integer levels
epochs = 10

[train]
lr = 0.05
batch_size = 128
"""


def run_folder(path: Path, **changes: Any) -> Path:
    """Write a complete run folder; `changes` replace keys of the result."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "result.json").write_text(json.dumps(result() | changes), encoding="utf-8")
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics()), encoding="utf-8")
    (path / "env.json").write_text(json.dumps(env()), encoding="utf-8")
    (path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return path
