"""Data by name or from a user's file, in all the forms that people have them; everything else is one clear error."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kompakt import DataError, RecipeError
from kompakt.data import Dataset, Preparation, Split, as_dataset, call_user_function, load_dataset

IMAGES, LABELS = np.arange(24, dtype=np.uint8).reshape(4, 1, 2, 3), np.array([0, 1, 2, 1])


def test_a_dataset_is_taken_as_it_is() -> None:
    given = Dataset("mine", Split(IMAGES, LABELS), Split(IMAGES, LABELS), (0.5,), (0.25,))
    assert as_dataset(given) is given


@pytest.mark.parametrize("form", ["arrays", "tensors", "splits", "batches", "loader", "generator"])
def test_forms_of_data(form: str) -> None:
    tensors = torch.from_numpy(IMAGES), torch.from_numpy(LABELS)
    forms = {
        "arrays": lambda: (IMAGES, LABELS),
        "tensors": lambda: tensors,
        "splits": lambda: Split(IMAGES, LABELS),
        "batches": lambda: [(IMAGES[:3], LABELS[:3]), (IMAGES[3:], LABELS[3:]), (IMAGES[:0], LABELS[:0])],
        "loader": lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=3),
        "generator": lambda: ((IMAGES[i : i + 1], LABELS[i : i + 1]) for i in range(4)),
    }
    dataset = as_dataset((forms[form](), forms[form]()), "mine")
    for split in (dataset.train, dataset.test):
        assert np.array_equal(split.images, IMAGES)
        assert np.array_equal(split.labels, LABELS)
        assert split.labels.dtype == np.int64


def test_float_images_are_taken_as_normalised() -> None:
    x = np.linspace(-2, 2, 24).reshape(4, 1, 2, 3)
    dataset = as_dataset(((x, LABELS), (x, LABELS)))
    assert dataset.train.images.dtype == np.float32
    assert np.array_equal(dataset.normalise(dataset.test.images), x.astype(np.float32))
    assert (dataset.crop_padding, dataset.flip) == (0, False)


WRONG = {
    "not a pair": (3, "one array of samples (N, ...), got int"),
    "three splits": (((IMAGES, LABELS),) * 3, "pair (train, test)"),
    "no labels": (([IMAGES], [IMAGES]), "given[0]: expected (images, labels)"),
    "fewer labels": (((IMAGES, LABELS[:3]),) * 2, "(4, 1, 2, 3) and (3,)"),
    "labels of two axes": (((IMAGES, LABELS[:, None]),) * 2, "labels (N,)"),
    "no examples": (((IMAGES[:0], LABELS[:0]),) * 2, "given[0]: expected images"),
    "an empty loader": (([], []), "given[0]: expected"),
    "not iterable": ((IMAGES, 3), "given[0]"),
    "NaN": (((IMAGES * np.float32(np.nan), LABELS),) * 2, "NaN or Inf"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_data(name: str) -> None:
    given, words = WRONG[name]
    with pytest.raises(DataError) as caught:
        as_dataset(given)
    assert words in str(caught.value)


def test_normalisation_of_a_network_replaces_that_of_the_data() -> None:
    dataset = load_dataset("digits", Preparation((0.25,), (0.5,)))
    assert (dataset.mean, dataset.std) == ((0.25,), (0.5,))
    assert load_dataset("digits").mean != dataset.mean


def test_unknown_names() -> None:
    with pytest.raises(RecipeError, match="unknown data 'cifar-10'; did you mean 'cifar10'"):
        load_dataset("cifar-10")
    with pytest.raises(RecipeError, match=r"expected a name or FILE.py:FUNCTION"):
        call_user_function("mine.txt:f", "data")


def test_user_files_find_their_neighbours_and_leave_the_path_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("VALUE = 41\n")
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom neighbour_of_mine import VALUE\n\n"
        "@dataclass\nclass Box:\n    value: 'int'\n\ndef f():\n    return Box(VALUE + 1)\n"
    )
    before = list(sys.path)
    assert call_user_function(f"{tmp_path / 'mine.py'}:f", "data").value == 42
    assert sys.path == before


def test_errors_of_user_files_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def f():\n    def inner():\n        return {}['key']\n    return inner()\n")
    with pytest.raises(RecipeError, match=r"line 3: KeyError: 'key'"):
        call_user_function(f"{path}:f", "data")
    before = list(sys.path)
    assert str(tmp_path) not in before


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_samples_alone_have_no_labels(kind):
    samples = np.random.default_rng(0).normal(size=(5, 3, 4, 4)).astype(np.float32)
    given = torch.from_numpy(samples) if kind == "torch" else samples
    dataset = as_dataset(given)
    assert not dataset.train.is_labelled
    assert not dataset.test.is_labelled
    np.testing.assert_array_equal(dataset.train.images, samples)


def test_samples_that_hold_nan_are_refused():
    with pytest.raises(DataError, match="NaN"):
        as_dataset(np.full((5, 3, 4, 4), np.nan, np.float32))
