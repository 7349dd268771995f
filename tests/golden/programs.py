"""The programs behind the golden files of format version 1. Files are never rewritten, so this may change freely."""

from __future__ import annotations

import numpy as np

from kompakt.artifact import Node, Program, Weight
from kompakt.encoding import Affine, Planes, Table
from support import parts
from support.programs import resnet_like_program
from support.twin import twin_program
from support.variants import with_variants


def every_operator() -> Program:
    """Each operator once."""
    return twin_program(0)


def residual_network() -> Program:
    """Eight-bit ends, two-bit planes, shortcuts with new channels."""
    return resnet_like_program(1, widths=(4, 8), size=8)


def one_bit_vectors() -> Program:
    """Signs as weights and activations, thresholds in both directions."""
    rng = np.random.default_rng(2)
    signs = Planes(1, np.array([1]))
    thresholds, directions = parts.threshold_rows(rng, 33, 1, 3.0)
    rows = rng.standard_normal((2, 4)).astype(np.float32)
    nodes = (
        Node("encode", "x", ("input",), {"encoding": signs, "thresholds": (0.0,)}),
        Node("linear", "l1", ("x",), {"weight": parts.weight(rng, (33, 17), signs)}),
        Node("threshold", "t1", ("l1",), {"encoding": signs, "thresholds": thresholds, "directions": directions}),
        Node("linear", "l2", ("t1",), {"weight": parts.weight(rng, (4, 33), signs)}),
        Node("affine", "out", ("l2",), {"m": rows[0], "b": rows[1]}),
    )
    return Program((17,), nodes, "out")


def several_widths() -> Program:
    """A residual network at 8 and 2 bits over one set of weights."""
    return with_variants(resnet_like_program(8, widths=(2, 3), size=4), (8, 2))


def eight_bit_codebooks() -> Program:
    """Tables and planes of eight bits for weights and activations."""
    rng = np.random.default_rng(3)
    levels = np.sort(rng.choice(np.arange(-128, 256), 256, replace=False))
    book = Table(8, np.roll(levels, 7))
    order = tuple(np.argsort(np.roll(levels, 7)).tolist())
    steps = (np.arange(-127, 128) / 32).astype(np.float32).tolist()
    planes = Planes(8, parts.bounded_basis(rng, 8, 3, -127, 127), "01")
    row = np.full(3, 2.0**-14, np.float32)
    nodes = (
        Node("encode", "x", ("input",), {"encoding": book, "thresholds": steps, "codes": order}),
        Node("conv2d", "c1", ("x",), {"weight": parts.weight(rng, (3, 2, 2, 2), planes), "stride": (1, 2)}),
        Node("affine", "a1", ("c1",), {"m": row, "b": row}),
        Node("flatten", "f", ("a1",)),
        Node("quantize", "q", ("f",), {"encoding": Affine(8, signed=True), "inv_step": 64.0}),
        Node("linear", "l", ("q",), {"weight": Weight(*_table_codes(rng, (3, 18)))}),
        Node("affine", "out", ("l",), {"m": row, "b": row}),
    )
    return Program((2, 4, 4), nodes, "out")


def float_layers() -> Program:
    """Layers that are left in float32, with every attribute of their windows."""
    rng = np.random.default_rng(4)
    window = {"stride": (2, 1), "padding": (1, 2), "dilation": (2, 1), "groups": 2}
    nodes = (
        Node("conv2d", "c1", ("input",), {"weight": parts.float_weight(rng, (4, 1, 3, 2)), **window}),
        Node("clamp", "r", ("c1",), {"hi": 1.5}),
        Node("max_pool", "m", ("r",), {"kernel": (3, 2), "stride": (1, 2), "padding": (1, 1)}),
        Node("concat", "both", ("m", "m")),
        Node("sum_pool", "p", ("both",), {"kernel": (2, 2), "stride": (1, 1)}),
        Node("flatten", "f", ("p",)),
        Node("linear", "out", ("f",), {"weight": parts.float_weight(rng, (5, 64))}),
    )
    return Program((2, 7, 6), nodes, "out")


def moved_values() -> Program:
    """Channels and positions gathered, maps renamed, blocks between permutations."""
    rng = np.random.default_rng(5)
    weight = parts.weight(rng, (6, 2, 1, 1), Affine(2, signed=True))
    row = np.full(6, 0.25, np.float32)
    nodes = (
        Node("quantize", "q", ("input",), {"encoding": Affine(4, signed=True), "inv_step": 2.0}),
        Node("gather", "g", ("q",), {"index": (3, 1, 0, 2)}),
        Node("conv2d", "c", ("g",), {"weight": weight, "groups": 2}),
        Node("reshape", "r", ("c",), {"size": (6, 1)}),
        Node("affine", "a", ("r",), {"m": row, "b": row}),
        Node("gather", "last", ("a",), {"index": (5, 0), "axis": 1}),
        Node("flatten", "out", ("last",)),
    )
    return Program((4, 2, 3), nodes, "out")


def attention_over_tokens() -> Program:
    """Functions of floats: position embedding, layer-norm, attention, every function of one float."""
    rng = np.random.default_rng(6)
    position = rng.standard_normal((6, 4, 1)).astype(np.float32)
    functions = ("gelu", "hardswish", "sigmoid", "silu", "tanh")
    names = ("input", *functions)
    nodes = (
        *(Node("unary", to, (source,), {"function": to}) for source, to in zip(names[:-1], functions, strict=True)),
        Node("reshape", "tokens", ("tanh",), {"size": (4, 1)}),
        Node("add_constant", "x", ("tokens",), {"value": position}),
        Node("layer_norm", "n", ("x",), {"eps": 2.0**-17}),
        Node("attention", "a", ("n", "x", "n"), {"heads": 2, "scale": 0.625}),
        Node("add", "out", ("x", "a")),
    )
    return Program((6, 2, 2), nodes, "out")


def recurrent_layers() -> Program:
    """Token ids, an LSTM with a state of codes, a GRU with a float state."""
    rng = np.random.default_rng(7)

    def halves(width: int, gates: int) -> dict[str, object]:
        m, b = (rng.standard_normal((2, gates * width)) / 8).astype(np.float32)
        return {"m": m, "b": b}

    coded = {"encoding": Affine(4, signed=True), "inv_step": 8.0}
    nodes = (
        Node("embedding", "e", ("input",), {"weight": parts.weight(rng, (11, 5), Affine(3, signed=True))}),
        Node("conv2d", "ih0", ("e",), {"weight": parts.weight(rng, (12, 5, 1, 1), Affine(2, signed=True))}),
        Node("affine", "x0", ("ih0",), halves(3, 4)),
        Node("lstm", "hh0", ("x0",), {"weight": parts.weight(rng, (12, 3), Affine(2, True)), **halves(3, 4), **coded}),
        Node("conv2d", "ih1", ("hh0",), {"weight": parts.weight(rng, (6, 3, 1, 1), Affine(2, signed=True))}),
        Node("affine", "x1", ("ih1",), halves(2, 3)),
        Node("gru", "out", ("x1",), {"weight": parts.float_weight(rng, (6, 2)), **halves(2, 3)}),
    )
    return Program((6,), nodes, "out")


def _table_codes(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, Table]:
    return rng.integers(0, 256, shape).astype(np.uint8), Table(8, rng.integers(-127, 128, (shape[0], 256)))


def integers_and_shifts() -> Program:
    """Sums become codes by shifts alone: one input, a residual of codes, a residual of sums, a pool."""
    rng = np.random.default_rng(9)
    unsigned, signed = Affine(8, signed=False), Affine(5, signed=True)
    first, second, third = (parts.weight(rng, shape, signed) for shape in ((4, 2, 3, 3), (4, 4, 3, 3), (4, 4, 1, 1)))
    nodes = (
        Node("quantize", "x", ("input",), {"encoding": Affine(8, signed=True), "inv_step": 32.0}),
        Node("conv2d", "c1", ("x",), {"weight": first, "padding": (1, 1)}),
        Node("requantize", "r1", ("c1",), _shifts(rng, 1, [7, 8, 0, 9], unsigned)),
        Node("conv2d", "c2", ("r1",), {"weight": second, "padding": (1, 1)}),
        Node("requantize", "r2", ("c2", "r1"), _shifts(rng, 2, [6, 7, 8, 9], signed)),
        Node("conv2d", "c3", ("r2",), {"weight": third}),
        Node("requantize", "r3", ("c3", "c2"), {**_shifts(rng, 2, [9, 9, 10, 11], unsigned), "top": 200}),
        Node("sum_pool", "p", ("r3",)),
        Node("requantize", "r4", ("p",), _shifts(rng, 1, [4, 4, 5, 5], unsigned)),
        Node("flatten", "f", ("r4",)),
        Node("linear", "l", ("f",), {"weight": parts.weight(rng, (3, 4), signed)}),
        Node("affine", "out", ("l",), {"m": np.full(3, 2.0**-10, np.float32), "b": np.zeros(3, np.float32)}),
    )
    return Program((2, 6, 6), nodes, "out")


def _shifts(rng: np.random.Generator, inputs: int, right: list[int], encoding: Affine) -> dict[str, object]:
    left = rng.integers(0, 3, (inputs, len(right))).astype(np.int8)
    bias = rng.integers(-300, 300, len(right)).astype(np.int32)
    shifts = np.array(right, np.int8)
    return {"encoding": encoding, "bias": bias, "left": left, "right": shifts, "top": encoding.limits[1]}


PROGRAMS = {
    function.__name__: function
    for function in (
        every_operator,
        residual_network,
        one_bit_vectors,
        eight_bit_codebooks,
        float_layers,
        moved_values,
        attention_over_tokens,
        recurrent_layers,
        integers_and_shifts,
        several_widths,
    )
}
