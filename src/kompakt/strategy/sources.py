"""Models named in a recipe or on the command line (`zoo:NAME`, `FILE.py:FUNCTION`), and data for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from .._core.errors import RecipeError
from ..data import Dataset, Preparation, call_user_function, load_dataset, preparation
from ..zoo import NETS, build
from ..zoo import load as load_pretrained


@dataclass(frozen=True)
class ModelSource:
    """A float model and what is known about it.

    Attributes:
        input_shape: (C, H, W) or (features,), None if only the data can tell.
        file_bytes: bytes of its weights file on disk, None if it came as an object.
        preparation: of the images that it was trained with, None if unknown.
        is_trained: False for a stock architecture with random weights.
        end_bits: bit-width of the first and last layer where the others have fewer; None: like the others.
        tokens: inputs are whole numbers below this; 0: any numbers.
    """

    module: nn.Module
    name: str
    input_shape: tuple[int, ...] | None = None
    file_bytes: int | None = None
    preparation: Preparation | None = None
    is_trained: bool = True
    end_bits: int | None = 8
    tokens: int = 0


def load_model(source: str) -> ModelSource:
    """Load `zoo:NAME` or call `FILE.py:FUNCTION`.

    A name of `zoo.NETS` is a stock architecture with random weights, any other that of a pretrained network.

    Raises: RecipeError or DataError saying what was expected.
    """
    name = source.removeprefix("zoo:")
    if source.startswith("zoo:") and name in NETS:
        net = NETS[name]
        return ModelSource(
            build(name), source, net.input_shape, is_trained=False, end_bits=net.end_bits, tokens=net.tokens
        )
    if source.startswith("zoo:"):
        found = load_pretrained(name)
        return ModelSource(found.module, source, found.input_shape, found.file_bytes, preparation(found.card))
    model = call_user_function(source, "model")
    if not isinstance(model, nn.Module):
        raise RecipeError(f"{source}: must return a torch.nn.Module, returned {type(model).__name__}")
    return ModelSource(model, source)


def load_data(source: str, model: ModelSource | None = None) -> Dataset:
    """A data set by name or from a user's function, prepared as a pretrained model wants it."""
    return load_dataset(source, model.preparation if model is not None else None)


def example_input(model: ModelSource, dataset: Dataset | None, shape: tuple[int, ...] | None) -> torch.Tensor:
    """Zeros (2, C, H, W): the shape that was given, else the model's, else the data's. Raises: RecipeError."""
    found = shape or model.input_shape or (dataset.train.images.shape[1:] if dataset is not None else None)
    if found is None:
        raise RecipeError("the input shape is unknown; give --input 1,C,H,W")
    return torch.zeros(2, *found)
