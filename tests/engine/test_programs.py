"""Random programs over every operator: fused and unfused execution, next to the NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt import _native
from kompakt.artifact import Program
from kompakt.artifact.write import to_bytes
from kompakt.engine import load, run_all_reference, run_reference
from support.layers import assert_equal_to_reference
from support.programs import random_input, random_program, resnet_like_program, token_rows


@pytest.mark.parametrize("seed", range(80))
def test_random_programs(seed: int) -> None:
    program = random_program(seed)
    assert_equal_to_reference(program, random_input(program, seed, batch=2 + seed % 3))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 3000, 100))
def test_many_random_programs(start: int) -> None:
    for seed in range(start, start + 100):
        program = random_program(seed)
        assert_equal_to_reference(program, random_input(program, seed), threads=(1, 3))


@pytest.mark.parametrize("seed", range(30))
def test_values_computed_without_fusion_equal_the_reference(seed: int) -> None:
    program = random_program(500 + seed)
    x = random_input(program, seed)
    expected = run_all_reference(program, x)
    for isa in _native.isa_levels():
        values = _native.Engine(to_bytes(program), 1, isa).values(x)
        assert list(values) == list(expected)
        for name, value in values.items():
            assert value.dtype == expected[name].dtype
            assert np.array_equal(value, expected[name], equal_nan=value.dtype == np.float32), name


@pytest.mark.parametrize("extreme", [np.inf, -np.inf, np.finfo(np.float32).max, 1e-45, 0.0, -0.0])
def test_extreme_inputs(extreme: float) -> None:
    for seed in (*range(12), "resnet"):
        program = resnet_like_program(1) if seed == "resnet" else random_program(seed)
        if token_rows(program):
            continue
        assert_equal_to_reference(program, np.full((2, *program.input_shape), extreme, np.float32))


@pytest.fixture(scope="module")
def resnet() -> tuple[Program, bytes]:
    program = resnet_like_program(7, widths=(16, 32), size=12, blocks=2)
    return program, to_bytes(program, {"seed": 7})


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads_and_batches_change_nothing(resnet: tuple[Program, bytes], threads: int) -> None:
    program, data = resnet
    x = random_input(program, 0, batch=9)
    expected = run_reference(program, x)
    engine = load(data, threads=threads)
    for batch in range(10):
        assert np.array_equal(engine(x[:batch]), expected[:batch])
    assert all(np.array_equal(engine(x[:1]), expected[:1]) for _ in range(20))


def test_lots_of_images_share_large_linear_weights() -> None:
    """Programs with large linear layers run several images at a time; any batch and thread count stays exact."""
    from kompakt.encoding import Affine
    from support import parts
    from support.layers import layer_program

    weight = parts.weight(np.random.default_rng(0), (300, 1100), Affine(2, signed=True))
    program = layer_program(weight, (1100,), Affine(2))
    x = random_input(program, 1, batch=19)
    expected = run_reference(program, x)
    for threads in (1, 2, 3):
        engine = load(to_bytes(program), threads=threads)
        for batch in (1, 2, 7, 8, 9, 16, 19):
            assert np.array_equal(engine(x[:batch]), expected[:batch])


def test_inputs_are_not_modified(resnet: tuple[Program, bytes]) -> None:
    program, data = resnet
    x = random_input(program, 0)
    before = x.copy()
    load(data)(x)
    assert np.array_equal(x, before)
