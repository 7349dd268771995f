"""The network whose answers a training compares with, where it is not the float network itself."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from .._core.errors import RecipeError
from ..data import Dataset, Preparation
from .sources import ModelSource, load_model


def load_teacher(source: str, student: ModelSource, dataset: Dataset, example: Tensor) -> nn.Module:
    """The network `source`, taking the input of the student and giving as many outputs.

    A pretrained teacher that was trained with another mean and deviation of pixels gets its own, where the data set
    holds pixels; floats go in as they are.

    Args:
        source: `zoo:NAME` or `FILE.py:FUNCTION`.
        dataset: as the student wants it. example: input (N, ...) of the student.
    Raises: RecipeError if it has random weights, takes no such input, or answers in another shape.
    """
    teacher = load_model(source)
    if not teacher.is_trained:
        raise RecipeError(f"train.teacher: {source} has random weights; name a trained network, or leave teacher out")
    _check_images(teacher, student)
    module = teacher.module.eval()
    if teacher.preparation is not None and str(dataset.train.images.dtype) == "uint8":
        module = nn.Sequential(_own_pixels(teacher.preparation, dataset, example.ndim), module).eval()
    _check_answers(source, module, student.module, example)
    return module


class Affine(nn.Module):
    """x * factor + offset for every channel, the second axis."""

    factor: Tensor
    offset: Tensor

    def __init__(self, factor: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor)
        self.register_buffer("offset", offset)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x * self.factor + self.offset


def _own_pixels(wanted: Preparation, dataset: Dataset, axes: int) -> nn.Module:
    """From pixels * scale = x * std + mean, as the data set gives x, to what the teacher makes of these pixels."""

    def per_channel(values: tuple[float, ...]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64).reshape(-1, *[1] * (axes - 2))

    ratio = 1.0 if wanted.scale is None else wanted.scale / dataset.scale
    mean, std = per_channel(dataset.mean) * ratio, per_channel(dataset.std) * ratio
    own_mean, own_std = per_channel(wanted.mean or dataset.mean), per_channel(wanted.std or dataset.std)
    return Affine((std / own_std).float(), ((mean - own_mean) / own_std).float())


def _check_images(teacher: ModelSource, student: ModelSource) -> None:
    """What an affine map cannot mend: order of colours, and which output is class 0."""
    one, other = teacher.preparation or Preparation(), student.preparation or Preparation()
    if (one.is_bgr, one.first_class) != (other.is_bgr, other.first_class):
        raise RecipeError(
            f"train.teacher: {teacher.name} wants its images or classes in another order than {student.name}"
        )


def _check_answers(source: str, teacher: nn.Module, student: nn.Module, example: Tensor) -> None:
    with torch.no_grad():
        expected = copy.deepcopy(student).eval()(example).shape
        try:
            found = teacher(example).shape
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise RecipeError(f"train.teacher: {source} does not take input {tuple(example.shape)}: {error}") from None
    if found != expected:
        raise RecipeError(
            f"train.teacher: {source} answers {tuple(found)}, the network {tuple(expected)}; they need the same classes"
        )
