"""What a recipe would make of a model, found by packing it untrained: exact sizes and costs, no accuracy."""

from __future__ import annotations

from typing import Any

import torch

from .job import prepare
from .recipe import Recipe
from .sources import example_input, load_data, load_model


def expectation(recipe: Recipe, input_shape: tuple[int, ...] | None = None) -> dict[str, Any]:
    """The static part of `result.json` (see `describe`), with the size of the file.

    Quantizers start from noise, since only their number matters: sizes of codes, thresholds and scales do not depend on
    values, nor on how weights are rounded. The text form of a few numbers does, by some bytes. Layers that a recipe
    chooses by measuring are chosen for the noise: a run may choose others of about the same size.

    Raises: as `prepare`, and RecipeError if the input shape is unknown.
    """
    model = load_model(recipe.model.source)
    needs_data = input_shape is None and model.input_shape is None and recipe.data.source != "given"
    dataset = load_data(recipe.data.source, model) if needs_data else None
    example = example_input(model, dataset, input_shape)
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(recipe.seed))
    stage = recipe.stage[0].model_copy(update={"rounding": "nearest"})
    result = prepare(model.module, recipe.model_copy(update={"stage": [stage]}), example, noise).finish().result
    if model.file_bytes is not None:
        result["float"]["bytes"] = model.file_bytes
    return result
