"""`Comparison` finds the first node that differs, and nothing where nothing does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kompakt import InputError, _native
from kompakt.artifact import Program, to_bytes
from kompakt.cli.selftest import FAMILIES, programs, run_level
from kompakt.engine.agreement import Comparison, is_same
from support.programs import random_input, resnet_like_program

PROGRAM = resnet_like_program(3, widths=(8,), size=8)
X = random_input(PROGRAM, 0, batch=2)


def with_other_offset(program: Program, name: str) -> Program:
    """The program, but one offset of the affine node `name` is larger by one step of float32."""
    nodes = []
    for node in program.nodes:
        if node.name == name:
            b = node.attrs["b"].copy()
            b[0] = np.nextafter(b[0], np.float32(np.inf))
            node = replace(node, attrs={**node.attrs, "b": b})
        nodes.append(node)
    return replace(program, nodes=tuple(nodes))


def test_nothing_differs() -> None:
    assert Comparison(to_bytes(PROGRAM, {}), PROGRAM, X).difference("portable", 2) is None


def test_the_smallest_change_is_found_where_it_is() -> None:
    name = next(node.name for node in PROGRAM.nodes if node.op == "affine")
    difference = Comparison(to_bytes(with_other_offset(PROGRAM, name), {}), PROGRAM, X).difference("portable")
    assert difference is not None
    assert (difference.node, difference.op) == (name, "affine")
    assert 0 < difference.count <= difference.size
    assert difference.index[1] == 0
    assert difference.found != difference.expected
    assert f"node {name!r} (affine): " in str(difference)


def test_a_level_that_there_is_not() -> None:
    with pytest.raises(InputError, match="avx1024"):
        Comparison(to_bytes(PROGRAM, {}), PROGRAM, X).difference("avx1024")


def test_same_is_about_bits() -> None:
    zero, nan = np.zeros(1, np.float32), np.full(1, np.nan, np.float32)
    assert not is_same(zero, -zero)
    assert is_same(nan, -nan)
    assert not is_same(zero, nan)
    assert not is_same(zero, zero.astype(np.int32))
    assert not is_same(zero, np.zeros(2, np.float32))


@pytest.mark.parametrize("isa", _native.isa_levels())
def test_the_self_test_reaches_every_kernel(isa: str) -> None:
    outcome = run_level(isa)
    assert outcome.differences == ()
    assert outcome.missed == ()
    assert set(outcome.kernels) == {row["kernel"] for row in _native.kernel_table() if row["isa"] == isa}


def test_the_self_test_uses_every_family() -> None:
    kernels = {row["kernel"] for row in _native.kernel_table()}  # of all levels: look-ups have no portable kernel
    by_family = {family: {k for k in kernels if k.startswith(f"{family}_")} for family in FAMILIES if family}
    assert set().union(*by_family.values()) == kernels
    assert all(by_family.values())
    assert len(programs()) == 6
