"""The random programs must be varied, or the tests built on them prove little."""

from __future__ import annotations

import numpy as np
import pytest

from kompakt.artifact import Program, Weight, check
from kompakt.artifact.ops import OPS
from kompakt.engine.reference import run_all
from support.programs import random_input, random_program, resnet_like_program

SEEDS = range(120)


@pytest.fixture(scope="module")
def programs() -> list[Program]:
    return [random_program(seed) for seed in SEEDS]


def test_same_seed_same_program() -> None:
    assert random_program(7) == random_program(7)
    assert resnet_like_program(7) == resnet_like_program(7)
    assert random_program(7) != random_program(8)


def test_every_operator_appears_often(programs: list[Program]) -> None:
    counts = dict.fromkeys(OPS, 0)
    for program in programs:
        for node in program.nodes:
            counts[node.op] += 1
    assert min(counts.values()) >= 10, counts


def test_every_encoding_appears_at_every_width(programs: list[Program]) -> None:
    weights, activations = set(), set()
    for program in programs:
        for node in program.nodes:
            weight, encoding = node.attrs.get("weight"), node.attrs.get("encoding")
            if isinstance(weight, Weight):
                weights.add((type(weight.encoding).__name__, weight.bits))
            if encoding is not None:
                activations.add((type(encoding).__name__, encoding.bits))
    assert {bits for name, bits in weights if name == "Planes"} == set(range(1, 9))
    assert {name for name, _ in weights} == {"Affine", "Planes", "Table"}
    assert {bits for _, bits in activations} == set(range(1, 9))
    assert {name for name, _ in activations} == {"Affine", "Planes", "Table"}


def test_geometry_is_varied(programs: list[Program]) -> None:
    convs = [node.attrs for program in programs for node in program.nodes if node.op == "conv2d"]
    for field, plain in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
        assert sum(attrs[field] != plain for attrs in convs) >= 3, field
    directions = [node.attrs["directions"] for program in programs for node in program.nodes if node.op == "threshold"]
    assert {-1, 1} == set(np.concatenate(directions).tolist())


def test_values_are_mostly_not_constant(programs: list[Program]) -> None:
    varied = total = 0
    for seed, program in zip(SEEDS, programs, strict=True):
        values = run_all(program, random_input(program, seed))
        varied += sum(len(np.unique(value)) > 1 for value in values.values())
        total += len(values)
    assert varied > 0.85 * total, (varied, total)


def test_resnet_like_program_has_the_shape_of_one() -> None:
    program = resnet_like_program(0, widths=(16, 32, 64), size=32, blocks=3)
    assert sum(node.op == "conv2d" for node in program.nodes) == 19
    assert check(program)[program.output].shape == (10,)
