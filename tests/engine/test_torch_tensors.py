"""Tensors in, tensors out, without the engine importing torch."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt._core.errors import InputError
from kompakt.artifact.write import to_bytes
from kompakt.engine import Engine, load
from support.programs import random_input, resnet_like_program

torch = pytest.importorskip("torch")

PROGRAM = resnet_like_program(11, widths=(8,), size=8)
X = random_input(PROGRAM, 0, batch=3)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load(to_bytes(PROGRAM))


def test_a_tensor_gives_a_tensor(engine: Engine) -> None:
    y = engine(torch.from_numpy(X))
    assert isinstance(y, torch.Tensor)
    assert np.array_equal(y.numpy(), engine(X))


def test_layouts(engine: Engine) -> None:
    x = torch.from_numpy(X).to(memory_format=torch.channels_last)
    assert np.array_equal(engine(x).numpy(), engine(X))


def test_detached_parameters_run(engine: Engine) -> None:
    parameter = torch.nn.Parameter(torch.from_numpy(X))
    with pytest.raises(InputError, match="detach"):
        engine(parameter)
    assert np.array_equal(engine(parameter.detach()).numpy(), engine(X))


def test_wrong_type_and_shape(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"float64; pass x\.float\(\)"):
        engine(torch.from_numpy(X).double())
    with pytest.raises(InputError, match=r"cpu\(\)"):
        engine(torch.empty(1, 3, 8, 8, device="meta"))
    with pytest.raises(InputError, match=r"\(N, 3, 8, 8\)"):
        engine(torch.zeros(3, 8, 8))


def test_flushed_subnormals_of_the_caller_do_not_matter(engine: Engine) -> None:
    expected = engine(X * np.float32(1e-42))
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush subnormals")
    try:
        assert np.array_equal(engine(X * np.float32(1e-42)), expected)
    finally:
        torch.set_flush_denormal(False)
