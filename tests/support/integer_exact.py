"""A quantized network and what the engine makes of it, compared code by code."""

from __future__ import annotations

import numpy as np

from kompakt.artifact import Program, to_bytes
from kompakt.deploy import lower, lower_traceably
from kompakt.engine import load
from kompakt.graph import Graph
from kompakt.strategy.integer_exact import Codes, IntegerExact


def values_of(program: Program, x: np.ndarray) -> dict[str, np.ndarray]:
    return load(to_bytes(program, {})).values(x)


def compared(graph: Graph, x: np.ndarray, values: dict[str, np.ndarray]) -> tuple[np.ndarray, Codes]:
    exact = IntegerExact(graph)
    return exact.outputs(x, values), exact.codes


def assert_agrees(graph: Graph, x: np.ndarray) -> None:
    program = lower(graph)
    values = values_of(program, x)
    outputs, codes = compared(graph, x, values)
    executed = values[program.output]
    assert codes.compared == sum(values[coded.name].size for coded in lower_traceably(graph).codes.values())
    assert codes.wrong == 0
    assert codes.at_boundary <= max(2, codes.compared // 10_000)
    executed = executed.reshape(len(x), -1) if outputs.ndim == 2 else executed[..., 0].swapaxes(1, 2)
    assert np.abs(outputs - executed).max() <= 1e-5 * np.abs(executed).max()
    assert np.array_equal(outputs.argmax(-1), executed.argmax(-1))
