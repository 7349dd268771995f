"""The type check: shapes, kinds, uses, limits and the overflow proof."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kompakt._core.errors import ArtifactError
from kompakt.artifact import FloatWeight, Node, Program, Weight, check
from kompakt.artifact.check import max_level, window_shape, zero_code
from kompakt.encoding import Affine, Planes, Table


def program(shape: tuple[int, ...], *nodes: Node) -> Program:
    return Program(shape, nodes, nodes[-1].name)


def refusal(made: Program) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        check(made)
    return caught.value


def quantize(name: str = "q", source: str = "input", bits: int = 8) -> Node:
    return Node("quantize", name, (source,), {"encoding": Affine(bits), "inv_step": 1.0})


def affine(source: str, channels: int, name: str = "out") -> Node:
    row = np.ones(channels, np.float32)
    return Node("affine", name, (source,), {"m": row, "b": row})


def conv(shape: tuple[int, ...], **attrs: Any) -> Node:
    return Node("conv2d", "c", ("input",), {"weight": FloatWeight(np.ones(shape, np.float32)), **attrs})


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3))
def test_window_shape_counts_positions(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    extent = dilation * (kernel - 1) + 1
    positions = [at for at in range(-padding, size + padding, stride) if at + extent <= size + padding]
    found = window_shape((size, 50), (kernel, 1), (stride, 1), (padding, 0), (dilation, 1))
    assert max(found[0], 0) == len(positions)
    assert found[1] == 50


def test_types_in_order() -> None:
    weight = Weight(np.zeros((6, 2, 3, 3), np.uint8), Affine(2))
    made = program(
        (4, 9, 8),
        quantize(),
        Node("conv2d", "c", ("q",), {"weight": weight, "groups": 2, "stride": (2, 1), "padding": (1, 0)}),
        affine("c", 6, "a"),
        Node("shift_pad", "s", ("a",), {"stride": 2, "before": 1, "after": 3}),
        Node("sum_pool", "p", ("s",)),
        Node("flatten", "f", ("p",)),
    )
    types = check(made)
    assert list(types) == ["input", "q", "c", "a", "s", "p", "f"]
    assert [value.shape for value in types.values()] == [
        (4, 9, 8),
        (4, 9, 8),
        (6, 5, 6),
        (6, 5, 6),
        (10, 3, 3),
        (10, 1, 1),
        (10,),
    ]
    assert [value.kind for value in types.values()] == ["f32", "code", "acc", "f32", "f32", "f32", "f32"]
    assert types["q"].encoding == Affine(8)
    assert types["c"].encoding is None


def test_a_channel_axis_is_enough_for_rows() -> None:
    check(program((3,), affine("input", 3)))
    assert refusal(program((3,), affine("input", 2))).kind == "shape"


def test_codes_concatenate_only_with_their_encoding() -> None:
    nodes = (quantize("a"), quantize("b", bits=4), Node("concat", "c", ("a", "b")))
    made = program((3,), *nodes, Node("dequantize", "d", ("c",), {"scale": 1.0}))
    assert refusal(made).kind == "encoding"


def test_level_helpers() -> None:
    assert zero_code(Affine(4, signed=True)) == 0
    assert zero_code(Planes(2, [1, 2], "pm")) is None
    assert zero_code(Planes(2, [1, 1], "pm")) == 1
    assert zero_code(Table(2, [5, 4, 0, 0])) == 2
    assert max_level(Affine(8, signed=True)) == 128
    assert max_level(Affine(8)) == 255


@pytest.mark.parametrize(
    ("made", "kind", "message"),
    [
        (Program((3,), (), "input"), "node", "output 'input' is no node"),
        (Program((2, 2), (), "x"), "shape", "(C) or (C, H, W), got (2, 2)"),
        (program((3,), affine("nothing", 3)), "node", "input 'nothing' is no earlier node"),
        (program((3,), affine("input", 3, "input")), "node", "this name is taken"),
        (program((3,), affine("input", 3), affine("input", 3, "b")), "node", "value 'out' is not used"),
        (program((3,), quantize()), "node", "must be f32, got code"),
        (program((3,), Node("dequantize", "d", ("input",), {"scale": 1.0})), "node", "takes code, but 'input' is f32"),
        (program((3,), Node("flatten", "f", ("input",))), "shape", "flatten takes (C, H, W), got (3,)"),
        (program((3, 5, 5), conv((2, 4, 3, 3))), "shape", "does not fit 3 input channels"),
        (program((4, 5, 5), conv((3, 2, 3, 3), groups=2)), "shape", "groups 2"),
        (program((3, 2, 5), conv((2, 3, 3, 3))), "shape", "larger than its padded input (3, 2, 5)"),
        (program((3, 5, 5), conv((2, 3, 3, 3), dilation=(3, 1))), "shape", "larger than its padded input"),
        (program((3, 5, 5), Node("max_pool", "m", ("input",), {"kernel": (6, 1)})), "shape", "larger than"),
        (program((3, 2, 2), Node("reshape", "r", ("input",), {"size": (3, 1)})), "shape", "4 positions of (3, 2, 2)"),
        (program((3, 2, 2), Node("gather", "g", ("input",), {"index": (3,)})), "shape", "in 0..2, got 3"),
        (program((3, 2, 2), Node("gather", "g", ("input",), {"index": (4,), "axis": 1})), "shape", "in 0..3, got 4"),
        (program((3,), Node("gather", "g", ("input",), {"index": (0,), "axis": 1})), "shape", "takes (C, H, W)"),
        (program((128, 4096, 4097), Node("clamp", "c", ("input",))), "size", "input: all values hold more than"),
        (program((128, 4096, 4096), Node("clamp", "c", ("input",))), "size", "node 'c': all values"),
        (
            program((1 << 24, 2, 2), Node("flatten", "f", ("input",))),
            "shape",
            "node 'f': every dimension must be at most 16777216, got (67108864,)",
        ),
    ],
)
def test_refused(made: Program, kind: str, message: str) -> None:
    error = refusal(made)
    assert message in str(error)
    assert error.kind == kind


def test_a_float_weight_takes_floats_only() -> None:
    weight = FloatWeight(np.ones((2, 3), np.float32))
    error = refusal(program((3,), quantize(), Node("linear", "l", ("q",), {"weight": weight}), affine("l", 2)))
    assert error.kind == "node"
    assert "float weight takes f32" in str(error)


def test_a_shortcut_needs_a_code_of_level_zero() -> None:
    def made(before: int) -> Program:
        signs = {"encoding": Planes(1, [1], "pm"), "thresholds": (0.0,)}
        return program(
            (3, 4, 4),
            Node("encode", "e", ("input",), signs),
            Node("shift_pad", "s", ("e",), {"stride": 2, "before": before}),
            Node("dequantize", "d", ("s",), {"scale": 1.0}),
        )

    check(made(0))
    assert refusal(made(1)).kind == "encoding"


def linear_over(encoding: Any, magnitudes: np.ndarray) -> Program:
    """Channel 0 is tiny, channel 1 has the given weights."""
    codes = np.stack([np.zeros_like(magnitudes), magnitudes]).astype(np.uint8)
    weight = Weight(codes, Affine(8, signed=True))
    thresholds = {"encoding": encoding, "thresholds": tuple(range((1 << encoding.bits) - 1))}
    return program(
        (len(magnitudes),),
        Node("encode", "q", ("input",), thresholds),
        Node("linear", "l", ("q",), {"weight": weight}),
        affine("l", 2),
    )


def test_overflow_proof_is_exact_at_the_limit() -> None:
    # Levels reach 128 in magnitude, on the negative side only: 2^24 units of weight reach 2^31 exactly.
    magnitudes = np.full(132105, 127)
    magnitudes[0] -= int(magnitudes.sum()) - (1 << 24)
    below = magnitudes.copy()
    below[0] -= 1
    check(linear_over(Table(1, [-128, 1]), below))
    error = refusal(linear_over(Table(1, [-128, 1]), magnitudes))
    assert error.kind == "overflow_risk"
    assert "channel 1 can reach 2147483648" in str(error)
    check(linear_over(Table(1, [-127, 127]), magnitudes))


def test_overflow_proof_counts_negative_weights() -> None:
    half = np.full(132105, 127)
    half[::2] = 129  # the code of -127
    assert refusal(linear_over(Affine(8, signed=True), half)).kind == "overflow_risk"


def test_sum_pool_is_bounded() -> None:
    def made(height: int) -> Program:
        return program((1, height, 4112), quantize(), Node("sum_pool", "p", ("q",)), affine("p", 1))

    check(made(2048))
    assert refusal(made(2049)).kind == "overflow_risk"
