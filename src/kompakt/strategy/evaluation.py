"""Three-way agreement: the fake-quantized torch model, the NumPy reference and the engine on the same images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.nn.utils import parametrize

from ..data import NO_LABEL, Dataset, Split, Tally, batch_size_of, judged
from ..engine import Engine, run_reference
from ..graph import Graph
from ..train import predict
from .integer_exact import IntegerExact

if TYPE_CHECKING:
    from .job import Compressed

REFERENCE_IMAGES, REFERENCE_MACS = 256, 2.5e10  # the reference is slow; it checks bits, not accuracy
# Of the integer-exact evaluation: 5e11 are all 10,000 images of a CIFAR ResNet-20, two minutes on one core, which is
# little beside training; without training the check should not take longer than the work.
EXACT_MACS, EXACT_MACS_UNTRAINED = 5e11, 5e10
BATCH, EXACT_BATCH = 256, 16
TOLERANCE = 1e-3  # of a logit; docs/numerics.md, "Agreement with the simulation"


def evaluate(small: Compressed, dataset: Dataset) -> dict[str, Any]:
    """Accuracy on the whole test split of the float model, the fake-quantized one and the engine; fills `small.result`.

    Also counts images where engine and fake-quantized model agree on the arg-max: all of them in float32, in which
    torch's own rounding moves a code here and there, and as many as the budget allows integer-exact, code by code.
    Compares the engine with the NumPy reference bit for bit on the first images. Samples without labels are given the
    float network's classes: `labels` of the result says so.
    """
    test, job, engine = dataset.test, small.job, small.engine()
    kernels = {row["node"]: row["kernel"] for row in engine.kernels()}
    widths = [None] if job.widths is None else job.widths.bits
    all_counts = [_Counts(small, graph, bits, engine, test) for bits, graph in zip(widths, job.graphs, strict=True)]
    originals, size = Tally(test.labels.ndim == 2), batch_size_of(test, BATCH)
    for first in range(0, len(test), size):
        part = test.part(first, first + size)
        original = judged(predict(job.original.module, dataset, part), part)
        labels = part.labels[part.labels != NO_LABEL] if part.is_labelled else original.argmax(1)
        originals.add(original, labels)
        for counts in all_counts:
            counts.add(first, part, labels, dataset)
    small.result["labels"] = "given" if test.is_labelled else "float network"
    for layer in small.result["layers"]:
        layer["kernel"] = kernels.get(layer["name"], "lookup")  # a table of an embedding multiplies nothing
    small.result["float"] |= originals.quality()
    small.result |= all_counts[0].record(len(test))
    if job.widths is not None:
        small.result["widths"] = [{"bits": counts.bits, **counts.record(len(test))} for counts in all_counts]
    return small.result


@dataclass
class _Agreement:
    """How far the engine's outputs lie from a simulation's."""

    count: int = 0
    equal: int = 0
    close: int = 0
    farthest: float = 0.0

    def add(self, executed: np.ndarray, simulated: np.ndarray) -> None:
        distance = np.abs(executed - simulated).max(1)
        self.count += len(distance)
        self.equal += int((executed.argmax(1) == simulated.argmax(1)).sum())
        self.close += int((distance <= TOLERANCE).sum())
        self.farthest = max(self.farthest, float(distance.max()))

    def record(self, name: str) -> dict[str, Any]:
        """Outputs with the same arg-max under `name`, and the largest difference of a logit."""
        return {name: self.equal, "max_abs_logit_difference": self.farthest}


class _Counts:
    """Everything that is counted of one bit-width, batch by batch: outputs of a whole split need not fit in memory."""

    def __init__(self, small: Compressed, graph: Graph, bits: int | None, engine: Engine, test: Split) -> None:
        self.program, self.network, self.bits, self.engine = small.program.at(bits), graph.module, bits, engine
        self.integer_exact = IntegerExact(graph)
        macs, by_step = small.result["macs"], test.labels.ndim == 2
        self.few = reference_images(macs)
        self.exact = exact_images(macs * len(small.program.widths), len(test), small.result["epochs"] > 0)
        self.simulated, self.executed = Tally(by_step), Tally(by_step)
        self.in_float32, self.exactly = _Agreement(), _Agreement()
        self.compared, self.is_bit_equal = 0, True

    def add(self, first: int, part: Split, labels: np.ndarray, dataset: Dataset) -> None:
        """Count the images `part`, which begin at number `first` of the test split, and have these labels."""
        inputs = dataset.normalise(part.images)
        if self.bits is not None:
            self.engine.use(self.bits)
        outputs = self.engine.run(inputs)
        executed = judged(outputs, part)
        simulated = judged(predict(self.network, dataset, part), part)
        self.simulated.add(simulated, labels)
        self.executed.add(executed, labels)
        self.in_float32.add(executed, simulated)
        few, exact = self.few - first, self.exact - first
        if exact > 0:
            found = judged(self._exact_outputs(inputs[:exact]), part)
            self.exactly.add(executed[: len(found)], found)
        if few > 0:
            reference = run_reference(self.program, inputs[:few])
            self.compared += reference.size
            self.is_bit_equal &= bool(np.array_equal(reference, outputs[:few]))

    def _exact_outputs(self, inputs: np.ndarray) -> np.ndarray:
        parts = np.split(inputs, range(EXACT_BATCH, len(inputs), EXACT_BATCH))
        with parametrize.cached():  # weights are quantized once, not for every part
            return np.concatenate([self.integer_exact.outputs(part, self.engine.values(part)) for part in parts])

    def record(self, available: int) -> dict[str, Any]:
        """What stands in the result, of a split of `available` images."""
        engine = {
            **self.executed.quality(), "images": self.executed.count,
            **self.in_float32.record("argmax_equal_to_fake_quant"), "tolerance": TOLERANCE,
            "images_within_tolerance": self.in_float32.close,
            "integer_exact": {
                "images": self.exactly.count, **self.exactly.record("argmax_equal"),
                **{f"codes_{name}": count for name, count in asdict(self.integer_exact.codes).items()},
            },
            "bit_equal_to_reference": {
                "images": min(self.few, available), "values": self.compared, "equal": self.is_bit_equal,
            },
        }  # fmt: skip
        return {"fake_quant": self.simulated.quality(), "engine": engine}


def reference_images(macs: int) -> int:
    """How many images of a network of `macs` per image the reference may take."""
    return max(1, min(REFERENCE_IMAGES, int(REFERENCE_MACS / max(macs, 1))))


def exact_images(macs: int, available: int, is_trained: bool) -> int:
    """How many images the integer-exact evaluation of a network of `macs` per image may take."""
    budget = EXACT_MACS if is_trained else EXACT_MACS_UNTRAINED
    return min(available, max(reference_images(macs), int(budget / max(macs, 1))))
