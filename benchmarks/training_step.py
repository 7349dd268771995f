"""What quantization costs in training: time of a step with quantizers against the same net without, bf16, compiled.

    python benchmarks/training_step.py [--threads 1] [--steps 12] [--eager]

Both nets take turns in one process; the figure is the median of paired ratios, the A/A row is the float net against a
second copy of itself. No distillation, batch 128, ResNet-20 at 32x32, data that are not read from disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from kompakt.graph import trace
from kompakt.quant.attach import attach, calibrate
from kompakt.strategy.choices import layer_choices, residual_choice
from kompakt.strategy.recipe import load_recipe
from kompakt.train.optimizer import has_fast_bf16
from kompakt.zoo import ResNetCifar

RECIPES = ("w2a2-lq", "w3a3-lq", "w2a32-lq", "w2a2-lsq")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--eager", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    plain = [stepper(ResNetCifar(20), arguments.eager) for _ in range(2)]
    rows = {"float (A/A)": paired(plain[1], plain[0], arguments.steps)}
    for name in RECIPES:
        rows[name] = paired(stepper(quantized(name), arguments.eager), plain[0], arguments.steps)
        print(json.dumps({"net": "resnet20", "recipe": name, **rows[name]}), flush=True)
    print(json.dumps({"compiled": not arguments.eager, "threads": arguments.threads, "rows": rows}))


def quantized(recipe_name: str) -> nn.Module:
    """ResNet-20 with the recipe's quantizers, calibrated on noise."""
    stage = load_recipe(recipe_name).stage[0]
    graph = trace(ResNetCifar(20), torch.zeros(2, 3, 32, 32))
    names = [str(node.target) for node in graph.layers()]
    graph = attach(graph, layer_choices(stage, names), residual_choice(stage))
    calibrate(graph, torch.randn(64, 3, 32, 32))
    return graph.module


def stepper(module: nn.Module, eager: bool) -> Callable[[], None]:
    """One training step on fixed noise."""
    module = module.train().to(memory_format=torch.channels_last)
    forward = module if eager else torch.compile(module)
    optimizer = torch.optim.SGD(module.parameters(), 0.01, 0.9)
    x = torch.randn(128, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (128,))
    bf16 = has_fast_bf16(torch.device("cpu"))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(forward(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def paired(step: Callable[[], None], base: Callable[[], None], count: int) -> dict[str, float]:
    """Median of `count` paired ratios step/base, its 10-90 % band, and the median seconds of both."""
    for _ in range(3):
        step(), base()
    times = [(seconds(step), seconds(base)) for _ in range(count)]
    ratios = sorted(a / b for a, b in times)
    return {
        "ratio": round(statistics.median(ratios), 3), "ratio_p10": round(ratios[count // 10], 3),
        "ratio_p90": round(ratios[-1 - count // 10], 3), "step_s": round(statistics.median(a for a, _ in times), 4),
        "base_s": round(statistics.median(b for _, b in times), 4),
    }  # fmt: skip


def seconds(step: Callable[[], None]) -> float:
    started = time.process_time()
    step()
    return time.process_time() - started


if __name__ == "__main__":
    main()
