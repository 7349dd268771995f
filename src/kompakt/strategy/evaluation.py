"""Three-way agreement: the fake-quantized torch model, the NumPy reference and the engine on the same images."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..data import NO_LABEL, Dataset, judged, quality
from ..engine import Engine, run_reference
from ..train import batch_size_of, predict

if TYPE_CHECKING:
    from .job import Compressed

REFERENCE_IMAGES, REFERENCE_MACS = 256, 2.5e10  # the reference is slow; it checks bits, not accuracy
# Of the simulation in float64: 5e11 are all 10,000 images of a CIFAR ResNet-20, two minutes on one core, which is
# little beside training; without training the check should not take longer than the work.
EXACT_MACS, EXACT_MACS_UNTRAINED = 5e11, 5e10
TOLERANCE = 1e-3  # of a logit; docs/numerics.md, "Agreement with the simulation"


def evaluate(small: Compressed, dataset: Dataset) -> dict[str, Any]:
    """Accuracy on the whole test split of the float model, the fake-quantized one and the engine; fills `small.result`.

    Also counts images where engine and fake-quantized model agree on the arg-max: all of them in float32, in which
    torch's own rounding moves a code here and there, and as many as the budget allows in float64, in which it does not.
    Compares the engine with the NumPy reference bit for bit on the first images. Samples without labels are given the
    float network's classes: `labels` of the result says so.
    """
    test = dataset.test
    job, result = small.job, small.result
    original = judged(predict(job.original.module, dataset, test), test)
    labels = test.labels[test.labels != NO_LABEL] if test.is_labelled else original.argmax(1)
    result["labels"] = "given" if test.is_labelled else "float network"
    simulated = judged(predict(job.module, dataset, test), test)
    engine = small.engine()
    outputs = engine_logits(engine, dataset)
    executed = judged(outputs, test)
    kernels = {row["node"]: row["kernel"] for row in engine.kernels()}
    for layer in result["layers"]:
        layer["kernel"] = kernels[layer["name"]]
    result["float"] |= quality(original, labels, test)
    result["fake_quant"] = quality(simulated, labels, test)
    few = dataset.normalise(test.images[: reference_images(result["macs"])])
    reference = run_reference(small.program, few)
    exact = judged(
        exact_logits(job.module, dataset, exact_images(result["macs"], len(test), result["epochs"] > 0)), test
    )
    result["engine"] = {
        **quality(executed, labels, test), "images": len(executed),
        "argmax_equal_to_fake_quant": int((executed.argmax(1) == simulated.argmax(1)).sum()),
        "max_abs_logit_difference": float(np.abs(executed - simulated).max()), "tolerance": TOLERANCE,
        "images_within_tolerance": int((np.abs(executed - simulated).max(1) <= TOLERANCE).sum()),
        "float64_simulation": {
            "images": len(exact), "argmax_equal": int((executed[: len(exact)].argmax(1) == exact.argmax(1)).sum()),
            "max_abs_logit_difference": float(np.abs(executed[: len(exact)] - exact).max()),
        },
        "bit_equal_to_reference": {
            "images": len(few), "values": reference.size,
            "equal": bool(np.array_equal(reference, outputs[: len(few)])),
        },
    }  # fmt: skip
    return result


def reference_images(macs: int) -> int:
    """How many images of a network of `macs` per image the reference may take."""
    return max(1, min(REFERENCE_IMAGES, int(REFERENCE_MACS / max(macs, 1))))


def exact_images(macs: int, available: int, is_trained: bool) -> int:
    """How many images the float64 simulation of a network of `macs` per image may take."""
    budget = EXACT_MACS if is_trained else EXACT_MACS_UNTRAINED
    return min(available, max(reference_images(macs), int(budget / max(macs, 1))))


@torch.no_grad()
def exact_logits(module: nn.Module, dataset: Dataset, count: int) -> np.ndarray:
    """Outputs of a quantized module for the first test images, computed in float64: free of float32's own rounding."""
    wide = copy.deepcopy(module).double().eval()
    images, batch_size = dataset.test.images[:count], batch_size_of(dataset.test, 64)
    return np.concatenate([
        wide(torch.from_numpy(dataset.normalise(images[i : i + batch_size])).double()).numpy()
        for i in range(0, len(images), batch_size)
    ])  # fmt: skip


def engine_logits(engine: Engine, dataset: Dataset) -> np.ndarray:
    """Outputs of the engine for the whole test split, float32 (N, ...)."""
    images, batch_size = dataset.test.images, batch_size_of(dataset.test, 250)
    return np.concatenate([
        engine.run(dataset.normalise(images[i : i + batch_size])) for i in range(0, len(images), batch_size)
    ])  # fmt: skip
