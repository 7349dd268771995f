"""What quantization costs in training: time of a step with quantizers against the same net without, bf16, compiled.

    python benchmarks/training_step.py [--only METHOD-PART] [--threads 1] [--rounds 12]

One case for every method that trains, at the bit-widths of its recipe; about a minute each. A step is forward, loss,
backward, optimizer and what the methods add: penalties, and their own step. The net without quantizers, a second copy
of it and the net with them take turns in one process; ratios are of pairs, the A/A row is copy against copy. No
teacher, batch 128, noise in place of images. Writes benchmarks/training/METHOD.json for `kompakt results`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kompakt.bench._machine import machine
from kompakt.bench._statistics import paired_ratio
from kompakt.quant import METHODS, Moment, QuantizerTraining
from kompakt.quant.quantizer import WEIGHTS
from kompakt.strategy import Recipe, builtin_recipes, load_recipe, prepare
from kompakt.train import Replay, TrainSettings
from kompakt.train.objective import make_objective
from kompakt.train.optimizer import has_fast_bf16
from kompakt.zoo import NETS

ROOT = Path(__file__).parents[1]
BATCH, CLASSES, WARM_UP = 128, 10, 3
HALF_WAY = 0.5  # of a run
GOAL = 1.4  # times the step without quantizers
# Rules that search while the network trains have no goal.
INNER_LOOPS = {
    "alternating_basis": "an alternation of least squares in every step",
    "friendly_clusters": "exact clustering in every 100th step, which the median leaves out",
    "relaxed_bits": "the loss at another bit-width of one tensor in every step",
    "shared_clip": "a pass for every bit-width in every step",
}
Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """A method as a recipe uses it, on a net of `kompakt.zoo.NETS`."""

    method: str
    recipe: Recipe
    net: str

    @property
    def bits(self) -> str:
        stage = self.recipe.stage[0]
        return f"W{stage.weight_bits} A{stage.activation_bits}"

    @property
    def remark(self) -> str:
        """What its rules search for while the network trains; empty where they do not."""
        stage = self.recipe.stage[0]
        rules = dict.fromkeys(METHODS[name].rule for name in (stage.method, stage.method_of_activations))
        return "; ".join(INNER_LOOPS[str(rule)] for rule in rules if rule in INNER_LOOPS)


def cases() -> dict[str, Case]:
    """Every method that a recipe trains, and every other one with the same rule in its place.

    Methods for activations alone count by their own; what else stands on activations has its case as one of weights.
    """
    paths = [*builtin_recipes().values(), *sorted((ROOT / "recipes").glob("*.toml"))]
    loaded = [(path, load_recipe(path)) for path in paths]
    recipes = [(path, recipe) for path, recipe in loaded if recipe.train.epochs and ".py:" not in recipe.model.source]
    found: dict[str, tuple[Path, str]] = {}
    for path, recipe in recipes:
        found.setdefault(recipe.stage[0].method, (path, "stage.method"))
    for path, recipe in recipes:
        name = recipe.stage[0].method_of_activations
        if WEIGHTS not in METHODS[name].roles:
            found.setdefault(name, (path, "stage.activation_method"))
    rules = {METHODS[name].rule: place for name, place in reversed(found.items())}
    made = {}
    for name, parts in METHODS.items():
        if name in found or parts.rule in rules:
            path, key = found.get(name) or rules[parts.rule]
            recipe = load_recipe(path, {key: name})
            made[name] = Case(name, recipe, net_of(recipe))
    return made


def net_of(recipe: Recipe) -> str:
    """The recipe's own net where it is a stock architecture, else ResNet-20."""
    name = recipe.model.source.removeprefix("zoo:")
    return name if name in NETS else "resnet20"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    folder = ROOT / "benchmarks" / "training"
    folder.mkdir(exist_ok=True)
    plain: dict[str, tuple[Step, Step]] = {}
    for case in cases().values():
        if arguments.only in case.method:
            copies = plain.setdefault(case.net, (step_of(case.net), step_of(case.net)))
            keep(folder, case, measured(case, copies, arguments.rounds) | {"threads": arguments.threads})


def keep(folder: Path, case: Case, numbers: dict[str, Any]) -> None:
    facts = machine()
    record = {
        "method": case.method, "recipe": case.recipe.name, "net": case.net, "bits": case.bits, "batch": BATCH,
        "goal": None if case.remark else GOAL, "remark": case.remark, **numbers, "machine": facts["cpu"],
        "commit": facts["commit"],
    }  # fmt: skip
    (folder / f"{case.method}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{case.method}: {record['ratio']}x, band {record['ratio_band']}, A/A {record['aa_ratio']}x", flush=True)


def measured(case: Case, plain: tuple[Step, Step], rounds: int) -> dict[str, Any]:
    """Median paired ratios, their 10-90 % bands, and the median milliseconds."""
    sides = [step_of(case.net, case.recipe), *plain]
    for step in sides:
        for _ in range(WARM_UP):
            step()
    times = np.array([[seconds(step) for step in sides] for _ in range(rounds)])
    cost, same = paired_ratio(times[:, 0], times[:, 1]), paired_ratio(times[:, 2], times[:, 1])
    quantized_ms, float_ms, _ = 1e3 * np.median(times, axis=0)
    return {
        "ratio": round(cost.median, 3), "ratio_band": [round(value, 3) for value in cost.band],
        "aa_ratio": round(same.median, 3), "aa_band": [round(value, 3) for value in same.band],
        "ms": round(float(quantized_ms), 1), "float_ms": round(float(float_ms), 1), "rounds": rounds,
    }  # fmt: skip


def step_of(net: str, recipe: Recipe | None = None) -> Step:
    """One training step of the net on fixed noise; with the recipe's quantizers if one is given."""
    torch.manual_seed(0)
    shape = NETS[net].input_shape
    x, labels = torch.randn(BATCH, *shape), torch.randint(0, CLASSES, (BATCH,))
    module: nn.Module = NETS[net].build()
    if recipe is not None:
        module = prepare(module, recipe, x[:2], x).module
    if len(shape) == 3:
        module, x = module.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    settings = TrainSettings() if recipe is None else recipe.train_settings()
    objective = make_objective(module.train(), replace(settings, distill=0.0), None)
    quantizers = QuantizerTraining(module)
    optimizer = torch.optim.SGD(module.parameters(), 0.01, 0.9)
    bf16 = has_fast_bf16(torch.device("cpu"))

    def loss_of() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return objective(x, labels, None, HALF_WAY)

    def step() -> None:
        replay = Replay(module) if quantizers.has_controllers else None
        loss, penalty = loss_of(), quantizers.penalty()
        optimizer.zero_grad()
        (loss if penalty is None else loss + penalty).backward()
        if replay is not None:
            quantizers.before_step(Moment(loss.detach(), partial(replay, loss_of)))
        optimizer.step()
        quantizers.after_step()

    return step


def seconds(step: Step) -> float:
    started = time.process_time()
    step()
    return time.process_time() - started


if __name__ == "__main__":
    main()
