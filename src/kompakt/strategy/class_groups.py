"""Classes put together by likeness: what fewer bits still tell apart when confusions inside a group are forgiven."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from .._core.errors import DataError, RecipeError
from ..data import Dataset
from ..graph import Graph, trace
from .job import prepare
from .recipe import load_recipe
from .sources import example_input, load_data, load_model

BATCH = 250
RANDOM_GROUPINGS = 50


@dataclass(frozen=True)
class GroupResult:
    """Accuracies in percent, of one network on one test set.

    Attributes:
        bits: of the weights; None: the float network.
        top1: share of images whose class is found.
        group: whose group is found; a group's score is the sum of its classes' probabilities.
        random: the same, mean over random groups of the same sizes: what the mere number of groups is worth.
        within: whose class is found among those of its own group: a network that keeps only one group's outputs.
    """

    bits: int | None
    top1: float
    group: float
    random: float
    within: float


def class_groups(rows: np.ndarray, count: int) -> np.ndarray:
    """Group of every class, (C,) int64: average-linkage clustering of 1 - cosine of the classifier's rows (C, F).

    Groups are numbered by their first class. Needs no data.

    Raises: RecipeError unless 1 <= count <= C.
    """
    if not 1 <= count <= len(rows):
        raise RecipeError(f"groups: expected 1 to {len(rows)}, the number of classes, got {count}")
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    distance = 1 - unit @ unit.T
    groups = [[c] for c in range(len(rows))]
    while len(groups) > count:
        pairs = [(i, j) for i in range(len(groups)) for j in range(i)]
        i, j = min(pairs, key=lambda pair: float(distance[np.ix_(groups[pair[0]], groups[pair[1]])].mean()))
        groups[j] += groups.pop(i)
    found = np.empty(len(rows), np.int64)
    for number, members in enumerate(sorted(groups, key=min)):
        found[members] = number
    return found


def group_accuracy(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    """Percent of logits (N, C) whose largest sum of probabilities over a group is that of the label's group."""
    wide = logits.astype(np.float64)
    share = np.exp(wide - wide.max(1, keepdims=True))
    scores = share @ (groups[:, None] == np.arange(groups.max() + 1))
    return float(100 * (scores.argmax(1) == groups[labels]).mean())


def within_accuracy(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    """Percent whose label has the largest of its group's logits. No other row of the classifier changes them."""
    own = groups[None, :] == groups[labels][:, None]
    return float(100 * (np.where(own, logits, -np.inf).argmax(1) == labels).mean())


def judge(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray, bits: int | None) -> GroupResult:
    """All accuracies of one network."""
    generator = np.random.default_rng(0)
    shuffled = [group_accuracy(logits, labels, generator.permutation(groups)) for _ in range(RANDOM_GROUPINGS)]
    return GroupResult(
        bits, float(100 * (logits.argmax(1) == labels).mean()), group_accuracy(logits, labels, groups),
        float(np.mean(shuffled)), within_accuracy(logits, labels, groups),
    )  # fmt: skip


def smallest_bits(results: Sequence[GroupResult], what: str, tolerance: float) -> int | None:
    """The fewest bits whose accuracy `what` is at most `tolerance` points below the float network's (the first)."""
    kept = [r for r in results[1:] if getattr(r, what) >= getattr(results[0], what) - tolerance]
    return min((r.bits for r in kept if r.bits is not None), default=None)


def search_groups(
    source: str, data: str, recipe: str, count: int, bits: Sequence[int], tolerance: float, limit: int | None = None,
    on_step: Callable[[int], None] = lambda bits: None,
) -> dict[str, Any]:  # fmt: skip
    """Fewest bits for classes and for groups: every bit-width is compressed without training and run in the engine.

    Args:
        recipe: whose `weight_bits` are varied; one without training. count: of groups. limit: test images.
        tolerance: points of accuracy that may be lost.
        on_step: told the bit-width that begins.
    Returns: {"groups": [[class, ..], ..], "results": [GroupResult as dict, float first],
        "fewest": {what: bits or None}}.
    Raises: RecipeError, DataError, GraphError, QuantizerError.
    """
    model = load_model(source)
    dataset = load_data(data, model)
    if not dataset.test.is_labelled or dataset.test.labels.ndim != 1:
        raise DataError(f"{dataset.name}: groups of classes need one label for every image")
    example = example_input(model, dataset, None)
    graph = trace(model.module, example)
    groups = class_groups(_classifier_rows(graph, source), count)
    labels = dataset.test.labels[:limit]
    results = [judge(_logits(_float_run(graph), dataset, len(labels)), labels, groups, None)]
    for b in bits:
        on_step(b)
        chosen = load_recipe(recipe, {"stage.weight_bits": b})
        calibration = torch.from_numpy(dataset.calibration(chosen.data.calibration, chosen.seed))
        engine = prepare(model.module, chosen, example, calibration).finish().engine()
        results.append(judge(_logits(engine.run, dataset, len(labels)), labels, groups, b))
    return {
        "groups": [np.flatnonzero(groups == g).tolist() for g in range(count)],
        "results": [asdict(result) for result in results],
        "fewest": {what: smallest_bits(results, what, tolerance) for what in ("top1", "group", "random", "within")},
    }


def _classifier_rows(graph: Graph, source: str) -> np.ndarray:
    layer = graph.submodule(graph.layers()[-1])
    outputs = graph.output.meta["shape"][1:]
    if tuple(outputs) != (layer.weight.shape[0],):
        raise RecipeError(
            f"{source}: the last layer must give one number per class, got outputs of shape {tuple(outputs)}"
        )
    return np.asarray(layer.weight.detach().flatten(1).double().numpy())


def _float_run(graph: Graph) -> Callable[[np.ndarray], np.ndarray]:
    module = graph.module.eval()

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(images)).numpy())

    return run


def _logits(run: Callable[[np.ndarray], np.ndarray], dataset: Dataset, count: int) -> np.ndarray:
    images = dataset.test.images
    chunks = [dataset.normalise(images[i : min(i + BATCH, count)]) for i in range(0, count, BATCH)]
    return np.concatenate([run(chunk) for chunk in chunks])
