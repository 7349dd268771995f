"""The whole job: model and data from a recipe, training, packing, evaluation in the engine, run folder."""

from __future__ import annotations

import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._core.errors import DataError, RecipeError
from ..data import Dataset, as_dataset
from ..report import write as write_report
from ..train import train
from .evaluation import evaluate
from .float_training import train_float
from .job import Compressed, Job, Progress, prepare
from .recipe import Recipe, load_recipe
from .runfolder import save_run
from .sources import ModelSource, example_input, load_data, load_model
from .start import start_from
from .teacher import load_teacher

SMOKE_BATCHES = 2
FEW_SAMPLES = 64


def compress(
    model: nn.Module, recipe: Recipe | str = "w2a2-lq", data: Any = None, *,
    settings: dict[str, object] | None = None, on_progress: Progress = lambda record: None,
) -> Compressed:  # fmt: skip
    """Compress a trained model in memory.

    Args:
        model: any traceable `nn.Module`; it is not changed.
        recipe: a Recipe, a built-in recipe's name, or a path.
        data: `kompakt.data.Dataset`, a pair (train, test) of (images, labels) or data loaders, or, for recipes without
            training, samples alone (N, ...); accuracy is then agreement with the float network.
        settings: overrides such as {"train.epochs": 3}.
    Raises: GraphError, QuantizerError, RecipeError, DataError, TrainingError: each says what to do.
    """
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, settings)
    if data is None:
        raise RecipeError("compress needs data: a Dataset, or (train, test) pairs of images and labels")
    with tempfile.TemporaryDirectory() as folder:
        source = ModelSource(model, recipe.model.source)
        return _run(recipe, source, as_dataset(data), Path(folder), False, None, on_progress)


def run_recipe(
    recipe: Recipe, folder: Path, *, resume: bool = False, smoke: bool = False,
    input_shape: tuple[int, ...] | None = None, on_progress: Progress = lambda record: None,
) -> Compressed:  # fmt: skip
    """Run a recipe file's job and leave a complete run folder, report included.

    `smoke` runs every phase on two batches, into `folder/smoke`. `resume` goes on from the folder's checkpoint.
    """
    on_progress({"event": "phase", "phase": "load"})
    model = load_model(recipe.model.source)
    dataset = load_data(recipe.data.source, model)
    if smoke:
        folder, dataset = folder / "smoke", dataset.smallest(SMOKE_BATCHES * recipe.train.batch_size, 256)
        recipe = _smoke(recipe)
    small = _run(recipe, model, dataset, folder, resume, input_shape, on_progress)
    save_run(folder, recipe, small.result, small.to_bytes(), dataset.digest())
    write_report(folder)
    on_progress({"event": "done", "folder": str(folder)})
    return small


def _smoke(recipe: Recipe) -> Recipe:
    brief: dict[str, Any] = {"warmup_epochs": 0.0, "compile": False}
    train = {**brief, "epochs": min(recipe.train.epochs, 1), "last_stage_epochs": 0}
    update: dict[str, Any] = {"train": recipe.train.model_copy(update=train)}
    if recipe.pretrain is not None:
        update["pretrain"] = recipe.pretrain.model_copy(update={**brief, "epochs": min(recipe.pretrain.epochs, 1)})
    return recipe.model_copy(update=update)


def _run(
    recipe: Recipe, source: ModelSource, dataset: Dataset, folder: Path, resume: bool,
    input_shape: tuple[int, ...] | None, on_progress: Progress,
) -> Compressed:  # fmt: skip
    if recipe.train.epochs and not dataset.train.is_labelled:
        raise DataError(
            f"{dataset.name}: samples without labels, but recipe {recipe.name!r} trains {recipe.train.epochs} epochs; "
            "give (images, labels), or take a recipe without training such as 'int8'"
        )
    calibration = dataset.calibration(recipe.data.calibration, recipe.seed)
    if len(calibration) < FEW_SAMPLES:
        warnings.warn(f"{len(calibration)} samples set the ranges; {FEW_SAMPLES} or more are better", stacklevel=2)
    source = _pretrained(recipe, source, dataset, folder / "float", resume, on_progress)
    example = example_input(source, dataset, input_shape)
    teacher = load_teacher(recipe.train.teacher, source, dataset, example) if recipe.train.teacher else None
    on_progress({"event": "phase", "phase": "prepare"})
    job = prepare(source.module, recipe, example, torch.from_numpy(calibration), on_progress)
    if recipe.model.start:
        for graph in job.graphs:
            start_from(graph, recipe.model.start, torch.from_numpy(calibration), source.module)
    seconds = _train(job, teacher, dataset, folder, resume, on_progress)
    on_progress({"event": "phase", "phase": "pack"})
    small = job.finish({"data_sha256": dataset.digest()})
    small.result |= {"train_s": round(seconds, 1), "threads": torch.get_num_threads()}
    if source.file_bytes is not None:
        small.result["float"]["bytes"] = source.file_bytes
    on_progress({"event": "phase", "phase": "evaluate"})
    evaluate(small, dataset)
    return small


def _pretrained(
    recipe: Recipe, source: ModelSource, dataset: Dataset, folder: Path, resume: bool, on_progress: Progress
) -> ModelSource:
    settings = recipe.float_settings()
    if settings is None:
        return source
    module = train_float(
        source.module, dataset, settings, folder, resume=resume, fingerprint=recipe.float_fingerprint(),
        on_progress=on_progress,
    )  # fmt: skip
    return replace(source, module=module, is_trained=True)


def _train(
    job: Job, teacher: nn.Module | None, dataset: Dataset, folder: Path, resume: bool, on_progress: Progress
) -> float:
    recipe = job.recipe
    if recipe.train.epochs == 0:
        return 0.0
    started = time.monotonic()
    on_progress({"event": "phase", "phase": "train"})
    progress = train(
        job.module, dataset, replace(recipe.train_settings()), folder, teacher=teacher or job.original.module,
        resume=resume,
        fingerprint=recipe.fingerprint(), on_progress=on_progress,
    )  # fmt: skip
    return max(progress.seconds, 0.0) or time.monotonic() - started
