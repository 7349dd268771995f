"""A compression job: prepare a model, train it (with any loop), finish with a packed file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from .._core.errors import RecipeError
from .._core.files import atomic_write
from ..artifact import Program, to_bytes
from ..artifact import sections as file_sections
from ..deploy import lower
from ..engine import Engine
from ..engine import load as load_engine
from ..graph import Graph, equalize, fold_batch_norm, trace, use_shift_norms
from ..quant import Moment, QuantizerTraining, method
from ..quant.attach import attach, calibrate, check_ranges
from ..quant.bit_costs import share_out
from ..quant.correct import Corrections, OnLayer, correct
from ..quant.joint_shifts import round_biases, search_shifts
from ..quant.widths import Widths
from ..report import summary_table
from ..report import write as write_report
from ..train import Replay
from .choices import inner_layers, layer_choices, residual_choice
from .describe import describe
from .environment import artifact_metadata
from .hard_layers import hard_choices
from .recipe import Recipe, load_recipe
from .runfolder import save_run
from .sensitivity import mixed_bits, sensitivity

TRACED = 2  # samples: the network is traced, and compared with the model, on so many

Progress = Callable[[dict[str, Any]], None]


@dataclass
class Job:
    """A model with quantizers in it, ready for training.

    Attributes:
        recipe: what is being done.
        graph: the quantized graph, of several bit-widths that of the highest. The model that came in is not touched.
        original: the float graph: yardstick, and teacher where the recipe names no other.
        widths: the networks of all bit-widths, where the recipe has `lower_bits`; else None.
    """

    recipe: Recipe
    graph: Graph
    original: Graph
    widths: Widths | None = None

    @property
    def module(self) -> nn.Module:
        """What is trained; of several bit-widths it runs as the one that its method `use` chose, first the highest."""
        return self.graph.module if self.widths is None else self.widths

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The quantized graph of every bit-width, highest first."""
        return (self.graph,) if self.widths is None else tuple(self.widths.graphs.values())

    def penalty(self) -> Tensor:
        """What the methods add to the loss, times `train.penalty`; 0 where none does. Add it before `backward`."""
        penalty = self._training.penalty()
        return torch.zeros(()) if penalty is None else self.recipe.train.penalty * penalty

    def before_step(self, loss: Tensor, again: Callable[[], Tensor], ends_epoch: bool = False) -> None:
        """Between `backward` and the optimizer's step: methods that assign bit-widths while they train decide.

        Args:
            loss: of the batch. again: computes it anew; batch-norms keep their statistics.
            ends_epoch: whether this is the last step of an epoch.
        """
        if self._training.has_controllers:
            once_more = partial(Replay(self.module), again)
            self._training.before_step(Moment(loss.detach(), once_more, self.recipe.train.penalty, ends_epoch))

    def step(self) -> None:
        """After every optimizer step: keep the quantizers' own parameters, and weights of a fixed alphabet, legal."""
        self._training.after_step()

    def last_stage(self) -> None:
        """Before the last epochs: from now on the forward pass uses the integer levels that the file will hold."""
        self._training.finish()

    @cached_property
    def _training(self) -> QuantizerTraining:
        return QuantizerTraining(self.module)

    def finish(self, metadata: dict[str, Any] | None = None) -> Compressed:
        """Lower and pack. The result holds all that the engine needs; its outputs equal `module` in evaluation mode.

        `metadata` (text and numbers) goes into the file beside versions, seed and recipe.

        Raises: ArtifactError if the network is not legal to store (a sum could overflow, a value is not finite).
        """
        self.last_stage()
        self.module.eval()
        program = _lowered(self.graph) if self.widths is None else _lowered_widths(self.widths)
        data = to_bytes(program, {**artifact_metadata(self.recipe), **(metadata or {})})
        result = describe(self.recipe, self.original, self.graph, program)
        result |= {"file_bytes": len(data), "sections": file_sections(data)}
        return Compressed(self, program, data, result)


def _lowered(graph: Graph) -> Program:
    return lower(Graph(graph.module.cpu(), graph.example))


def _lowered_widths(widths: Widths) -> Program:
    first, *others = (replace(_lowered(graph), bits=bits) for bits, graph in widths.graphs.items())
    return replace(first, variants=tuple(others))


def prepare(
    model: nn.Module, recipe: Recipe | str, example: Tensor, calibration: Tensor | None = None,
    on_progress: Progress = lambda record: None,
) -> Job:  # fmt: skip
    """Trace `model` on samples of `example` (N, ...), put quantizers on it, and start them from `calibration`.

    `recipe` is a Recipe, a path, or a built-in recipe's name; `calibration` is `example` if not given. `on_progress` is
    told of layers that are corrected: {"event": "layer", "layer": name, "done": work, "of": all work,
    "seconds": since the first}.

    Raises: GraphError, QuantizerError, RecipeError with the layer's name.
    """
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    torch.manual_seed(recipe.seed)
    stage, batch = recipe.stage[0], example if calibration is None else calibration
    original = trace(model, example[:TRACED])
    base = fold_batch_norm(original) if stage.equalize or stage.requantize == "shift" else original
    base = equalize(base) if stage.equalize else base
    base = use_shift_norms(base) if stage.batch_norm == "shift" else base
    if stage.lower_bits:
        return _prepare_widths(recipe, original, base, batch)
    graph = _calibrated(base, recipe, batch)
    if stage.requantize == "shift":
        search_shifts(graph, base, batch, _timed(on_progress))
    what = Corrections(stage.rounding, stage.scale_correction, stage.bias_correction)
    if what.is_any:
        correct(graph, base, batch, what, _timed(on_progress))
    if stage.requantize == "shift":
        round_biases(graph)
    return Job(recipe, graph, original)


def _prepare_widths(recipe: Recipe, original: Graph, base: Graph, batch: Tensor) -> Job:
    stage = recipe.stage[0]
    graphs = {
        bits: _calibrated(base, recipe.model_copy(update={"stage": [stage.at(bits)]}), batch)
        for bits in (cast(int, stage.weight_bits), *stage.lower_bits)
    }
    widths = Widths(graphs)
    return Job(recipe, widths.graphs[widths.bits[0]], original, widths)


def _calibrated(base: Graph, recipe: Recipe, batch: Tensor) -> Graph:
    stage, graph = recipe.stage[0], quantized_graph(base, recipe, batch)
    calibrate(graph, batch)
    share_out(graph, stage.bit_cost, stage.mean_bits)
    if recipe.train.epochs == 0:
        check_ranges(graph)
    return graph


def _timed(on_progress: Progress) -> OnLayer:
    """Progress of layers, with the seconds since the first."""
    started = time.monotonic()

    def on_layer(name: str, done: int, of: int) -> None:
        seconds = time.monotonic() - started
        on_progress({"event": "layer", "layer": name, "done": done, "of": of, "seconds": seconds})

    return on_layer


def quantized_graph(original: Graph, recipe: Recipe, batch: Tensor) -> Graph:
    """The graph with slots, not yet calibrated, as the recipe wants; `batch` measures layers for mixed precision.

    Raises: RecipeError if it changes no layer.
    """
    stage, layers = recipe.stage[0], [str(node.target) for node in original.layers()]
    mixed: dict[str, int] = {}
    if stage.weight_bits == "mixed":
        measured = sensitivity(original, inner_layers(layers), stage.method, method(stage.method).bits, batch)
        mixed = mixed_bits(measured, stage.mean_bits)
    choices = layer_choices(stage, layers, mixed)
    if not any(choice.weight or choice.activation for choice in choices.values()):
        raise RecipeError(f"recipe {recipe.name!r} changes no layer; layers: {', '.join(choices) or 'none'}")
    if stage.hard_share:
        choices |= hard_choices(original, stage, choices, batch)
    return attach(
        original, choices, residual_choice(stage), stage.requantize == "shift", shared_inputs=stage.shared_inputs
    )


@dataclass
class Compressed:
    """A packed network.

    Attributes:
        program: the integer program. data: the file's bytes.
        result: what is known about it, in the form of `result.json`; grows with `evaluate`.
    """

    job: Job
    program: Program
    data: bytes
    result: dict[str, Any]

    def to_bytes(self) -> bytes:
        """The file's bytes; the same job always gives the same ones."""
        return self.data

    def save(self, path: str | Path) -> None:
        """Write the file (temporary name, then rename). Raises: StorageError."""
        atomic_write(path, self.data)

    def engine(self, threads: int = 1) -> Engine:
        """The network in the native engine."""
        return load_engine(self.data, threads=threads)

    def summary(self) -> str:
        """The before/after table as text."""
        return summary_table(self.result)

    def report(self, path: str | Path) -> Path:
        """Write the report page beside a run folder's worth of records in memory."""
        with tempfile.TemporaryDirectory() as folder:
            save_run(Path(folder), self.job.recipe, self.result, self.data)
            return write_report(folder, path)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.engine().run(x))
