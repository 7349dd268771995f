"""One file of several bit-widths: each runs as a file of its own would, and changing between them is safe."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kompakt import _native
from kompakt._core.errors import InputError
from kompakt.artifact import from_bytes, sections, to_bytes
from kompakt.engine import load, run_reference
from kompakt.engine.agreement import Comparison
from support.programs import random_input, random_program, resnet_like_program
from support.twin import twin_program
from support.variants import WIDTHS, with_variants

PROGRAM = with_variants(resnet_like_program(21, widths=(8, 16), size=10))
DATA = to_bytes(PROGRAM)
X = random_input(PROGRAM, 0, batch=6)


@pytest.mark.parametrize(
    "program", [*map(random_program, range(12)), twin_program()], ids=[*map(str, range(12)), "twin"]
)
def test_every_width_equals_a_file_of_its_own_and_the_reference(program) -> None:
    several = with_variants(program)
    data = to_bytes(several)
    assert to_bytes(*from_bytes(data)) == data
    engine, x = load(data), random_input(program, 1)
    for bits in WIDTHS:
        alone = to_bytes(several.at(bits))
        found = engine.use(bits)(x)
        assert np.array_equal(found, load(alone)(x), equal_nan=True)
        assert np.array_equal(found, run_reference(several.at(bits), x), equal_nan=True)


@pytest.mark.parametrize("isa", _native.isa_levels())
def test_nested_codes_are_packed_right_for_every_kernel(isa) -> None:
    families = {row["kernel"].split("_")[0] for row in _native.kernel_table() if row["isa"] == isa}
    for bits in WIDTHS[1:]:
        comparison = Comparison(to_bytes(PROGRAM.at(bits)), PROGRAM.at(bits), X[:2])
        for family in ["", *sorted(families)]:
            engine = dict(_native.engines(DATA, 1, isa, family))[bits]
            assert np.array_equal(engine.run(X[:2]), comparison.expected[PROGRAM.at(bits).output])


def test_weights_are_stored_once() -> None:
    sizes = [len(to_bytes(PROGRAM.at(bits))) for bits in WIDTHS]
    codes = sum(node.attrs["weight"].codes.size for node in PROGRAM.nodes if "weight" in node.attrs)
    assert len(DATA) < sum(sizes)
    assert sections(DATA)["codes"] == sections(to_bytes(PROGRAM.at(None)))["codes"] <= codes


def test_use_names_the_widths_there_are() -> None:
    engine = load(DATA)
    assert engine.widths == WIDTHS
    assert engine.bits == 8
    assert engine.use(2).bits == 2
    for wrong in (3, 0, True, "4", None):
        with pytest.raises(InputError, match="8, 4, 2, 1"):
            engine.use(wrong)  # type: ignore[arg-type]
    assert engine.bits == 2
    single = load(to_bytes(PROGRAM.at(4)))
    assert (single.widths, single.bits) == ((), None)
    with pytest.raises(InputError, match="one network"):
        single.use(8)


def test_a_program_names_the_widths_it_has() -> None:
    with pytest.raises(InputError, match="8, 4, 2, 1"):
        PROGRAM.at(3)
    with pytest.raises(InputError, match="one bit-width"):
        PROGRAM.at(4).at(4)


@pytest.mark.parametrize("threads", [1, 3])
def test_changing_while_others_run_gives_whole_answers(threads) -> None:
    """Every call gives the output of one of the bit-widths, whole batches long, whoever changes meanwhile."""
    engine = load(DATA, threads=threads)
    expected = {run_reference(PROGRAM.at(bits), X).tobytes() for bits in WIDTHS}
    assert len(expected) == len(WIDTHS)

    def call(index: int) -> bool:
        if index % 3 == 0:
            engine.use(WIDTHS[index // 3 % len(WIDTHS)])
        return engine(X).tobytes() in expected

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(call, range(300)))


def test_changing_reads_and_packs_nothing(monkeypatch) -> None:
    engine = load(DATA)
    reports = {bits: pickle.dumps(engine.use(bits).kernels()) for bits in WIDTHS}
    monkeypatch.setattr(_native, "engines", None)
    assert {bits: pickle.dumps(engine.use(bits).kernels()) for bits in reversed(WIDTHS)} == reports
