"""Where the time goes: every stage once and in order, whatever it takes."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt import load
from kompakt._core.errors import InputError
from kompakt.artifact import to_bytes
from support.programs import random_input, resnet_like_program

PROGRAM = resnet_like_program(3, widths=(8,), size=8)
ENGINE = load(to_bytes(PROGRAM, {}))
X = random_input(PROGRAM, 0, batch=1)


def test_every_layer_has_its_time() -> None:
    stages = ENGINE.profile(X, 3)
    names = [stage["node"] for stage in stages]
    layers = [row["node"] for row in ENGINE.kernels()]
    assert [name for name in names if name in layers] == layers
    assert names[0] == "input"
    assert all(0 < stage["seconds"] < 60 for stage in stages)


def test_results_stay_what_they_are() -> None:
    expected = ENGINE(X)
    ENGINE.profile(X, 2)
    np.testing.assert_array_equal(ENGINE(X), expected)


@pytest.mark.parametrize(("count", "repetitions"), [(2, 1), (0, 1), (1, 0)])
def test_one_input_and_at_least_one_repetition(count: int, repetitions: int) -> None:
    with pytest.raises(InputError, match="expected one input and at least one repetition"):
        ENGINE.profile(random_input(PROGRAM, 0, batch=count), repetitions)


def test_inputs_are_checked_as_for_a_run() -> None:
    with pytest.raises(InputError, match="float32"):
        ENGINE.profile(X.astype(np.float64), 1)
    with pytest.raises(InputError, match="NaN"):
        ENGINE.profile(np.full_like(X, np.nan), 1)
