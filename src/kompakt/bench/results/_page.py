"""The results page: `docs/results.md`, generated from the records that the commands wrote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..._core.files import atomic_write
from . import _accuracy as accuracy
from . import _agreement as agreement
from . import _entries as entries
from . import _goals as goals
from . import _ptq as ptq
from . import _speed as speed
from . import _training as training
from . import _widths as widths
from ._expected import expected_of_recipes, measured_path
from ._guide import render_guide
from ._records import (
    AccuracyRecord,
    BenchRecord,
    FigureRecord,
    Goal,
    PtqRecord,
    TrainingRecord,
    parse,
    read_folder,
    read_list,
)

ACCURACY_FOLDER, BENCH_FOLDER, PAGE = "results", "benchmarks/results", "docs/results.md"
FIGURE_FOLDER, PTQ_FOLDER, GOALS = "benchmarks/figures", "benchmarks/ptq", "benchmarks/goals.json"
TRAINING_FOLDER, GUIDE = "benchmarks/training", "docs/which-method.md"

_HEAD = """# Results

Generated from `results/*.json`, `benchmarks/*/*.json` and the goals in `benchmarks/goals.json`; do not edit. Every
measured number was written by a command."""

_ACCURACY = """## Accuracy

Top-1 on the whole test split, executed by the engine from the packed file; the mean over seeds, with the lowest and
highest where there are several: one seed says nothing about the spread, two say little. *Gap to float* is in percentage
points. *Mean bits* are per weight, and per activation that a multiply-add reads, with the first and the last layer.
*Published* numbers are other people's, on their networks and schedules, and are here for orientation. Times are of
training alone, on a shared machine."""

_WIDTHS = """## Several bit-widths in one file

One set of weights that the engine runs at any of its bit-widths, beside the best network of the same protocol that was
trained for that bit-width alone. *Difference* is in percentage points. The tables above show the highest bit-width."""

_AGREEMENT = """## Engine and simulation

The fake-quantized network in float64 against the engine, code by code: a code may be another one only where its value
lies within float32's rounding of the boundary between the two levels (`docs/numerics.md`, "Agreement with the
simulation"). Runs that were evaluated since this comparison exists."""

_SIZE = """## Size

Bytes on disk: the float network as a safetensors file, and the `.kpt` file with its sections. BOPs are MACs x weight
bits x activation bits."""

_TEXT = """## Text

Language models: bits per character, of every character behind the first 128 of its window. Their top-1 in the first
table is the share of characters that are foreseen."""

_WORDS = """## Words

Language models that read token numbers: the perplexity, 2 to the mean code length in bits, of every word of the test
text but the first. `ptb`: windows of 64 words that start from an empty state, each word behind at least 32 others.
Published perplexities usually carry the state through the whole text, so they compare only roughly. Top-1 in the first
table is the share of words that are foreseen."""

_PTQ = """## Quantization without training, beside other tools

The same float network, the same calibration images (drawn anew for every seed) and 8 bits for weights and activations;
`kompakt` is the recipe `int8`, the others are the tools' own defaults as in the section on speed. Time to quantize is
of the process, all its threads, from the module or from the ONNX file; accuracy is that of the packed or exported file
on the whole test split. Ratios above 1 mean that Kompakt is faster, with one thread and one image."""

_TRAINING = """## Cost of a training step

Time of a step with a method's quantizers divided by that of the same step without them: forward in bfloat16, compiled,
backward, optimizer and the method's own step, 128 images, no teacher. Processor time; both steps and a second copy of
the one without (A/A) take turns in one process, ratios are medians of pairs."""

_GOALS = """## Goals of speed

Against the fastest of the engines that a goal is about, in one run; ratios as in the section on speed. *AVX-512, no
AMX* and *AVX2 only* are processors without these features, or with them hidden from every engine. The networks have
random weights and were quantized without training: their speed does not depend on what the weights are."""

_FIGURES = """## Kompakt alone"""

_SPEED = """## Speed

Engines run in alternation in one process, threads bound to the same cores. The *ratio* is the time of the engine
divided by the time of Kompakt, the median over paired rounds: above 1 Kompakt is faster. The A/A row is Kompakt against
a second instance of itself; where its band is wide, nothing follows from the other rows. Clock *cpu* is process time
(one thread), *wall* the elapsed time. SNR compares an engine's output with the float network in torch: for Kompakt's
trained low-bit networks it is low by design, accuracy is in the first table."""

_SHORT = "## Not reached\n\nMissed goals, published numbers not reached, and engines that were faster."
_NONE = "No records yet."


def render_results(
    accuracy_records: list[dict[str, Any]], bench_records: list[dict[str, Any]],
    goal_records: list[dict[str, Any]] | None = None, figure_records: list[dict[str, Any]] | None = None,
    ptq_records: list[dict[str, Any]] | None = None, training_records: list[dict[str, Any]] | None = None,
) -> str:  # fmt: skip
    """The page as Markdown; equal records give equal text, in whatever order they come.

    Raises: DataError for a record that is not as the commands write it.
    """
    wanted, figures = parse(goal_records or [], Goal), parse(figure_records or [], FigureRecord)
    runs, benches = parse(accuracy_records, AccuracyRecord), parse(bench_records, BenchRecord)
    tools, steps = parse(ptq_records or [], PtqRecord), parse(training_records or [], TrainingRecord)
    return _render(runs, benches, wanted, figures, tools, steps)


def generate(root: str | os.PathLike[str]) -> str:
    """The page of the records under `root`. Raises: DataError naming the file that is wrong."""
    runs = read_folder(Path(root) / ACCURACY_FOLDER)
    benches = read_folder(Path(root) / BENCH_FOLDER)
    figures, tools = read_folder(Path(root) / FIGURE_FOLDER), read_folder(Path(root) / PTQ_FOLDER)
    steps = read_folder(Path(root) / TRAINING_FOLDER)
    return _render(
        parse(list(runs.values()), AccuracyRecord, list(runs)),
        parse(list(benches.values()), BenchRecord, list(benches)),
        parse(read_list(Path(root) / GOALS), Goal),
        parse(list(figures.values()), FigureRecord, list(figures)),
        parse(list(tools.values()), PtqRecord, list(tools)),
        parse(list(steps.values()), TrainingRecord, list(steps)),
    )


def update(root: str | os.PathLike[str]) -> Path:
    """Write the page of `root`; in a checkout the guide, too, and what `kompakt recipes` says to expect.

    Raises: DataError, StorageError.
    """
    page, measured = Path(root) / PAGE, measured_path(Path(root))
    atomic_write(page, generate(root).encode())
    if measured is not None:
        atomic_write(measured, expected(root).encode())
        atomic_write(Path(root) / GUIDE, guide(root).encode())
    return page


def guide(root: str | os.PathLike[str]) -> str:
    """The guide from situations to methods, with the figures of the records under `root`. Raises: DataError."""
    runs, benches = read_folder(Path(root) / ACCURACY_FOLDER), read_folder(Path(root) / BENCH_FOLDER)
    return render_guide(
        entries.entries(parse(list(runs.values()), AccuracyRecord, list(runs))),
        parse(list(benches.values()), BenchRecord, list(benches)),
    )


def expected(root: str | os.PathLike[str]) -> str:
    """What the built-in recipes reached in the records under `root`, as JSON. Raises: DataError."""
    runs = read_folder(Path(root) / ACCURACY_FOLDER)
    return expected_of_recipes(parse(list(runs.values()), AccuracyRecord, list(runs)))


def _render(
    runs: list[AccuracyRecord], benches: list[BenchRecord], wanted: list[Goal], figures: list[FigureRecord],
    tools: list[PtqRecord], steps: list[TrainingRecord],
) -> str:  # fmt: skip
    found, benches = entries.entries(runs), speed.ordered(benches)
    parts = [_HEAD, _ACCURACY, accuracy.accuracy_section(found) if found else _NONE]
    if any(entry.first.widths for entry in found):
        parts += [_WIDTHS, widths.widths_section(found)]
    if any(record.agreement for entry in found for record in entry.records):
        parts += [_AGREEMENT, agreement.agreement_section(found)]
    if found:
        parts += [_SIZE, accuracy.size_section(found)]
    if any(accuracy.is_of_characters(entry) for entry in found):
        parts += [_TEXT, accuracy.text_section(found)]
    if any(entry.first.reads_tokens for entry in found):
        parts += [_WORDS, accuracy.words_section(found)]
    if tools:
        parts += [_PTQ, ptq.ptq_section(tools)]
    if steps:
        parts += [_TRAINING, training.training_section(steps)]
    if wanted:
        parts += [_GOALS, goals.goals_section(wanted, benches)]
    if figures:
        parts += [_FIGURES, goals.figures_section(figures)]
    parts += [_SPEED, *(speed.speed_section(record) for record in benches)] if benches else [_SPEED, _NONE]
    short = [
        *accuracy.shortfalls(found),
        *agreement.disagreements(found),
        *goals.missed_goals(wanted, benches),
        *goals.missed_figures(figures),
    ]
    short += [*training.training_shortfalls(steps), *ptq.ptq_shortfalls(tools), *speed.losses(benches)]
    parts += [_SHORT, "\n".join(f"* {line}" for line in short) if short else "Nothing."]
    if found:
        parts += ["## Runs", accuracy.provenance(found)]
    return "\n\n".join(parts) + "\n"
