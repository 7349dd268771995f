"""One small legal program that uses every operator, with node names that tests can rely on: the twin of bad files."""

from __future__ import annotations

import numpy as np

from kompakt.artifact import Node, Program, to_bytes
from kompakt.encoding import Affine, Planes, Table

from . import parts

METADATA = {"library": "kompakt 0.1", "seed": 7, "lr": 0.1}


def twin_program(seed: int = 0) -> Program:
    """The same nodes and shapes for every seed; weights, scales and thresholds differ."""
    rng = np.random.default_rng([seed, 2])
    pairs, uneven = Planes(2, np.array([1, 2]), "01"), Table(2, np.array([0, 1, 3, 9]))
    rows, directions = parts.threshold_rows(rng, 4, 2, 300.0)
    rows[0], directions[0] = (-5, 0, 7), 1
    rows[1], directions[1] = (9, 2, -4), -1
    steps = tuple(float(np.float32(step)) for step in np.sort(rng.choice(64, 3, replace=False)) / 8 + 0.1)

    def affine(channels: int, scale: float) -> dict[str, np.ndarray]:
        m, b = rng.standard_normal((2, channels)).astype(np.float32)
        return {"m": m * np.float32(scale), "b": b}

    nodes = (
        Node("quantize", "q", ("input",), {"encoding": Affine(8, signed=True), "inv_step": 16.5}),
        Node("conv2d", "c1", ("q",), {"weight": _planes(rng, (4, 3, 3, 3), 3), "padding": (1, 1)}),
        Node(
            "threshold",
            "t1",
            ("c1",),
            {"encoding": pairs, "thresholds": rows, "directions": directions, "codes": (0, 2, 1, 3)},
        ),
        Node("conv2d", "c2", ("t1",), {"weight": _table(rng, (4, 2, 1, 1)), "groups": 2}),
        Node("affine", "a2", ("c2",), affine(4, 1 / 64)),
        Node("dequantize", "d1", ("t1",), {"scale": 0.125}),
        Node("add", "s", ("a2", "d1")),
        Node("clamp", "r", ("s",), {"lo": -1.5, "hi": 6.0}),
        Node("encode", "e", ("r",), {"encoding": uneven, "thresholds": steps}),
        Node("recode", "rc", ("e",), {"encoding": Affine(2), "thresholds": (1, 2, 2)}),
        Node("requantize", "rq", ("c2", "rc"), _shifts(rng)),
        Node("max_pool", "m", ("rq",), {"kernel": (2, 2), "stride": (1, 2), "padding": (1, 0)}),
        Node("concat", "cat", ("m", "m")),
        Node("shift_pad", "sp", ("cat",), {"stride": 2, "before": 1, "after": 2}),
        Node("sum_pool", "p", ("sp",), {"kernel": (2, 1)}),
        Node("affine", "a3", ("p",), affine(11, 0.5)),
        Node("conv2d", "cf", ("a3",), {"weight": parts.float_weight(rng, (3, 11, 1, 1))}),
        Node("reshape", "rs", ("cf",), {"size": (1, 2)}),
        Node("gather", "g", ("rs",), {"index": (0, 2, 1)}),
        Node("gather", "gp", ("g",), {"index": (1, 0), "axis": 1}),
        Node("gather", "gz", ("gp",), {"index": (0, 1, 2)}),
        Node("gru", "gu", ("gz",), _gru(rng)),
        Node("dequantize", "dg", ("gu",), {"scale": 0.25}),
        Node("concat", "cg", ("dg", "dg", "dg")),
        Node("layer_norm", "ln", ("cg",), {"eps": 0.5}),
        Node("attention", "at", ("ln", "gz", "ln"), {"heads": 3, "scale": 0.5}),
        Node("add_constant", "ac", ("at",), {"value": rng.standard_normal((3, 2, 1)).astype(np.float32)}),
        Node("unary", "u", ("ac",), {"function": "gelu"}),
        Node("flatten", "fl", ("u",)),
        Node("quantize", "q2", ("fl",), {"encoding": Affine(4), "inv_step": 4.0}),
        Node("linear", "l", ("q2",), {"weight": parts.weight(rng, (5, 6), Affine(5, signed=True))}),
        Node("affine", "out", ("l",), affine(5, 0.125)),
    )
    return Program((3, 6, 5), nodes, "out")


def twin_bytes(seed: int = 0) -> bytes:
    """The twin's file."""
    return to_bytes(twin_program(seed), METADATA)


def _gru(rng: np.random.Generator) -> dict[str, object]:
    m, b = rng.standard_normal((2, 3)).astype(np.float32)
    weight = parts.weight(rng, (3, 1), Affine(2, signed=True))
    return {"weight": weight, "m": m, "b": b, "encoding": Affine(3, signed=True), "inv_step": 4.0}


def _shifts(rng: np.random.Generator) -> dict[str, object]:
    bias, (left, right) = rng.integers(-999, 999, 4).astype(np.int32), rng.integers(0, 4, (2, 4)).astype(np.int8)
    return {"encoding": Affine(2), "bias": bias, "left": np.stack([left, left + 2]), "right": right + np.int8(5)}


def _planes(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> object:
    return parts.weight(rng, shape, Planes(bits, parts.bounded_basis(rng, bits, shape[0], 1, 100), "pm"))


def _table(rng: np.random.Generator, shape: tuple[int, ...]) -> object:
    return parts.weight(rng, shape, Table(3, rng.integers(-127, 128, (1, 8))))
