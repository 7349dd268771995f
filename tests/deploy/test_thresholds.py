"""Integer thresholds stand for their float chain exactly: checked against every accumulator value there is."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kompakt.artifact import Node, Program, Weight
from kompakt.deploy.coding import Coding, coding_of
from kompakt.deploy.thresholds import recode_thresholds, threshold_table
from kompakt.deploy.values import Lazy
from kompakt.encoding import Affine
from kompakt.engine.reference import run_all
from kompakt.quant import METHODS, Quantizer

KINDS = [("lsq", bits, signed) for bits in (2, 3, 4, 8) for signed in (False, True)] + [
    ("lq_nets", bits, False) for bits in (1, 2, 3, 4)
]
CLAMPS = [None, (0.0, np.inf), (0.0, 6.0), (-1.0, 2.0), (0.5, np.inf)]


@cache
def coding(kind: tuple[str, int, bool], scale: float = 1.0, seed: int = 0) -> Coding:
    """An activation quantizer fitted to normal data of that spread."""
    method, bits, signed = kind
    x = scale * torch.randn(5, 100, generator=torch.Generator().manual_seed(seed))
    quantizer = Quantizer(METHODS[method], bits, signed, sample_axis=True)
    quantizer.fit(x if signed else x.clamp_min(0))
    quantizer.finish()
    return coding_of(quantizer)


def count(x: np.ndarray, table: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The definition of docs/numerics.md: index of every x (n,) in every channel, (C, n)."""
    above = x[None, :, None] >= table[:, None, :]
    below = x[None, :, None] <= table[:, None, :]
    return np.where((directions == 1)[:, None, None], above, below).sum(-1)


def chain(x: np.ndarray, source: Lazy, target: Coding) -> np.ndarray:
    """Affine, clamp and coding in single float32 operations, (C, n)."""
    m, b = source.affine32
    with np.errstate(over="ignore", invalid="ignore"):
        y = x.astype(np.float32)[None, :] * m[:, None] + b[:, None]
    if source.clamp is not None:
        y = np.minimum(np.maximum(y, np.float32(source.clamp[0])), np.float32(source.clamp[1]))
    return target.index(y)


multipliers = st.one_of(
    st.floats(-0.2, 0.2), st.sampled_from([0.0, -0.0, 1e-30, -1e-30, 1e30, -1e30, 1e-3, -1e-3, 0.5, -0.5])
)
offsets = st.one_of(st.floats(-4, 4), st.sampled_from([0.0, -1e30, 1e30]))


@settings(max_examples=80)
@given(
    kind=st.sampled_from(KINDS),
    clamp=st.sampled_from(CLAMPS),
    maps=st.lists(st.tuples(multipliers, offsets), min_size=1, max_size=6),
    bound=st.integers(0, 400),
)
def test_thresholds_equal_the_chain_on_every_accumulator(kind, clamp, maps, bound):
    m, b = np.array(maps).T
    source, target = Lazy("a", "acc", m, b, clamp, bound), coding(kind)
    table, directions = threshold_table(source, target)
    x = np.arange(-bound, bound + 1)
    assert np.array_equal(count(x, table, directions), chain(x, source, target))
    rising = np.diff(table.astype(np.int64), axis=1) * directions[:, None]
    assert (rising >= 0).all(), "thresholds must not turn back"


def test_channels_that_never_change_have_saturated_thresholds():
    source = Lazy("a", "acc", np.array([0.0, 0.0, 1e-9, -1e-9]), np.array([-1.0, 9.0, -1.0, 9.0]), None, 1000)
    table, directions = threshold_table(source, coding(("lsq", 2, False)))
    limits = np.iinfo(np.int32)
    assert directions.tolist() == [1, 1, 1, -1]
    assert (table[0] == limits.max).all()
    assert (table[1] == limits.min).all()
    assert (table[2] == limits.max).all()
    assert (table[3] == limits.max).all(), "always, for a channel that compares with <="


def test_accumulators_of_full_size():
    """Bounds near 2^31 need 64-bit bisection; the ends are checked, and the neighbourhood of every threshold."""
    bound = 2**31 - 2  # INT32_MAX itself means "never"
    source = Lazy("a", "acc", np.array([3e-9, -2e-9, 1e-12]), np.array([0.2, 0.9, -0.5]), (0.0, np.inf), bound)
    target = coding(("lq_nets", 4, False))
    table, directions = threshold_table(source, target)
    near = (table.astype(np.int64).reshape(-1, 1) + np.arange(-300, 301, 50)).reshape(-1)
    x = np.unique(np.clip(np.concatenate([near, [-bound, bound, 0]]), -bound, bound))
    assert np.array_equal(count(x, table, directions), chain(x, source, target))


@pytest.mark.parametrize("kind", KINDS)
def test_the_index_is_what_the_engine_computes(kind):
    """`Coding.index` against the reference's `quantize` and `encode`, extremes and boundaries included."""
    target = coding(kind)
    edges = np.array([0.0, -0.0, 1e-40, 3.4e38, -3.4e38, np.inf, -np.inf], np.float32)
    middles = (np.arange(-300, 300) + 0.5).astype(np.float32) * target.scale
    around = [] if target.boundaries is None else [target.boundaries, np.nextafter(target.boundaries, np.float32(9e9))]
    y = np.concatenate([edges, middles, np.random.default_rng(0).normal(size=500).astype(np.float32), *around])
    op, attrs = target.node()
    nodes = (Node(op, "q", ("input",), attrs), Node("dequantize", "f", ("q",), {"scale": float(target.scale)}))
    codes = run_all(Program((len(y),), nodes, "f"), y[None])["q"][0]
    assert np.array_equal(np.array(target.codes)[target.index(y)], codes)


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", [("lsq", 8, False), ("lsq", 8, True), ("lsq", 3, False), ("lq_nets", 3, False)])
def test_recoding_equals_decoding_and_coding(source, target):
    """Every code of the source, through the reference, by `recode` and by `dequantize` and the coding node."""
    first, second = coding(source), coding(target, scale=0.6, seed=1)
    codes = np.arange(first.levels, dtype=np.uint8)
    thresholds = recode_thresholds(first, second)
    op, attrs = second.node()
    recode = {"encoding": second.encoding, "codes": second.codes, "thresholds": thresholds}
    # A value of every code: quantize integers with step 1, then treat the codes as the source's.
    table = first.encoding.table()[0].astype(np.float32)
    decoded = table * first.scale
    nodes = (Node(op, "q", ("input",), attrs), Node("dequantize", "f", ("q",), {"scale": 1.0}))
    expected = run_all(Program((len(codes),), nodes, "f"), decoded[None])["q"][0]
    index = (first.encoding.table()[0][codes][:, None] >= np.array(recode["thresholds"])).sum(1)
    assert np.array_equal(np.array(second.codes)[index], expected)


def test_a_threshold_node_runs_as_its_chain_does():
    """End to end in the reference: accumulators from a layer, `threshold` against `affine`, `clamp`, `encode`."""
    rng = np.random.default_rng(0)
    target = coding(("lq_nets", 2, False))
    weight = Weight(rng.integers(0, 16, (6, 12)).astype(np.uint8), Affine(4, True))
    reach = int(np.abs(weight.levels()).sum(1).max()) * 255
    source = Lazy("a", "acc", rng.normal(0, 3e-3, 6), rng.normal(0, 0.5, 6), (0.0, np.inf), reach)
    m, b = source.affine32
    table, directions = threshold_table(source, target)
    op, attrs = target.node()
    head = (
        Node("quantize", "x", ("input",), {"encoding": Affine(8), "inv_step": 1.0}),
        Node("linear", "a", ("x",), {"weight": weight}),
    )
    direct = Node("threshold", "q", ("a",), {"encoding": target.encoding, "codes": target.codes, "thresholds": table,
                                              "directions": directions})  # fmt: skip
    steps = (Node("affine", "y", ("a",), {"m": m, "b": b}), Node("clamp", "c", ("y",)), Node(op, "q", ("c",), attrs))
    tail = Node("dequantize", "f", ("q",), {"scale": 1.0})
    x = rng.integers(0, 256, (200, 12)).astype(np.float32)
    short, long = (run_all(Program((12,), (*head, *middle, tail), "f"), x)["q"] for middle in ([direct], steps))
    assert np.array_equal(short, long)
    assert len(np.unique(short)) == 4
