"""Nodes and weights: defaults, canonical forms, and errors that name the node, the value and the remedy."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kompakt._core.errors import ArtifactError
from kompakt.artifact import FloatWeight, Node, Program, Weight
from kompakt.artifact.ops import OPS
from kompakt.encoding import Affine, Planes, Table

ROW = np.ones(2, np.float32)
CODES = np.zeros((2, 3), np.uint8)


def refusal(make: Any) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        make()
    return caught.value


def test_defaults_are_filled_in() -> None:
    weight = Weight(np.zeros((2, 3, 1, 1), np.uint8), Affine(2))
    assert Node("conv2d", "c", ("x",), {"weight": weight}).attrs == {
        "weight": weight,
        "stride": (1, 1),
        "padding": (0, 0),
        "dilation": (1, 1),
        "groups": 1,
    }
    assert Node("clamp", "c", ("x",)).attrs == {"lo": 0.0, "hi": None}
    assert Node("sum_pool", "p", ("x",)).attrs == {"kernel": None, "stride": None, "padding": (0, 0)}
    assert Node("sum_pool", "p", ("x",), {"kernel": [3, 2]}).attrs["stride"] == (3, 2)
    recode = Node("recode", "r", ("x",), {"encoding": Affine(2), "thresholds": [1, 2, 3]})
    assert recode.attrs["codes"] == (0, 1, 2, 3)


def test_numbers_become_floats() -> None:
    node = Node("dequantize", "d", ("x",), {"scale": 2})
    assert type(node.attrs["scale"]) is float
    assert Node("dequantize", "d", ("x",), {"scale": np.float32(0.1)}).attrs["scale"] == float(np.float32(0.1))


def test_nodes_compare_by_content() -> None:
    def node(offset: float) -> Node:
        return Node("affine", "a", ("x",), {"m": ROW, "b": np.full(2, offset, np.float32)})

    assert node(1.0) == node(1.0)
    assert node(1.0) != node(2.0)
    assert node(0.0) != node(-0.0)
    assert node(1.0) != Node("flatten", "a", ("x",))
    assert node(1.0) != "a"


def test_weights_compare_by_content() -> None:
    assert Weight(CODES, Affine(2)) == Weight(CODES.copy(), Affine(2))
    assert Weight(CODES, Affine(2)) != Weight(CODES, Affine(3))
    assert Weight(CODES, Affine(2)) != Weight(CODES + 1, Affine(2))
    assert FloatWeight(ROW[None]) == FloatWeight(ROW[None])
    assert FloatWeight(ROW[None]) != FloatWeight(2 * ROW[None])
    assert FloatWeight(ROW[None]) != Weight(CODES, Affine(2))


def test_arrays_are_copied_and_read_only() -> None:
    m = ROW.copy()
    node = Node("affine", "a", ("x",), {"m": m, "b": m})
    m[0] = 7
    assert node.attrs["m"][0] == 1
    with pytest.raises(ValueError, match="read-only"):
        node.attrs["m"][0] = 2


def test_weight_levels() -> None:
    codes = np.array([[0, 1], [2, 3]], np.uint8)
    assert Weight(codes, Affine(2, signed=True)).levels().tolist() == [[0, 1], [-2, -1]]
    assert Weight(codes, Table(2, [[0, 5, 0, 0], [0, 0, 7, 9]])).levels().tolist() == [[0, 5], [7, 9]]
    assert FloatWeight(ROW[None]).levels().tolist() == [[1.0, 1.0]]


def test_errors_survive_pickling() -> None:
    error = refusal(lambda: Node("conv3d", "c", ("x",)))
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.kind) == (str(error), error.kind)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Node("conv3d", "c", ("x",)), "node", "unknown op 'conv3d'; did you mean 'conv2d'"),
        (lambda: Node("flatten", "a b", ("x",)), "node", "[A-Za-z0-9_.]"),
        (lambda: Node("flatten", "a\n", ("x",)), "node", "'a\\n'"),
        (lambda: Node("flatten", "", ("x",)), "node", "''"),
        (lambda: Node("flatten", "a" * 101, ("x",)), "node", "{1,100}"),
        (lambda: Node("flatten", "a", "x"), "node", "list of names, got 'x'"),
        (lambda: Node("flatten", "a", ()), "node", "takes 1 to 1 inputs, got 0"),
        (lambda: Node("concat", "a", ("x",)), "node", "takes 2 to 1024 inputs, got 1"),
        (lambda: Node("dequantize", "d", ("x",)), "node", "node 'd': dequantize needs the attribute 'scale'"),
        (lambda: Node("flatten", "a", ("x",), {"axis": 1}), "node", "flatten has no attribute 'axis'"),
        (lambda: Node("dequantize", "d", ("x",), {"scale": "1"}), "node", "scale must be a number, got '1'"),
        (lambda: Node("dequantize", "d", ("x",), {"scale": True}), "node", "got True"),
        (lambda: Node("dequantize", "d", ("x",), {"scale": 0.1}), "value", "use float(np.float32(v))"),
        (lambda: Node("dequantize", "d", ("x",), {"scale": 10**400}), "value", "finite float32"),
        (lambda: Node("dequantize", "d", ("x",), {"scale": float("nan")}), "value", "got nan"),
        (lambda: Node("dequantize", "d", ("x",), {"scale": -1.0}), "value", "positive and normal"),
        (lambda: Node("clamp", "c", ("x",), {"lo": 1.0, "hi": 0.0}), "value", "lo must not exceed hi"),
        (lambda: Node("clamp", "c", ("x",), {"lo": None}), "node", "lo must be a number"),
        (lambda: Node("max_pool", "m", ("x",), {"kernel": 2}), "node", "kernel must be a list, got int"),
        (lambda: Node("max_pool", "m", ("x",), {"kernel": (2, 2, 2)}), "node", "[height, width]"),
        (lambda: Node("max_pool", "m", ("x",), {"kernel": (2, 2.0)}), "node", "an integer, got 2.0"),
        (lambda: Node("max_pool", "m", ("x",), {"kernel": (2, True)}), "node", "an integer, got True"),
        (lambda: Node("max_pool", "m", ("x",), {"kernel": (0, 2)}), "shape", "kernel must lie in 1..4096, got 0"),
        (lambda: Node("max_pool", "m", ("x",), {"kernel": (2, 2), "padding": (2, 0)}), "shape", "below kernel"),
        (lambda: Node("sum_pool", "p", ("x",), {"stride": (1, 1)}), "node", "neither stride nor padding"),
        (lambda: Node("shift_pad", "s", ("x",), {"before": -1}), "shape", "before must lie in 0..16777216"),
        (lambda: Node("affine", "a", ("x",), {"m": [1.0], "b": ROW}), "node", "array of float32, got list"),
        (lambda: Node("affine", "a", ("x",), {"m": np.ones(2), "b": ROW}), "node", "float32, got float64"),
        (lambda: Node("affine", "a", ("x",), {"m": ROW, "b": ROW[:1]}), "shape", "one shape, got (2,), (1,)"),
        (
            lambda: Node("affine", "a", ("x",), {"m": ROW / 0, "b": ROW}),
            "value",
            "m must be finite, got inf in channel 0",
        ),
        (lambda: Node("affine", "a", ("x",), {"m": ROW[:0], "b": ROW}), "shape", "a row per channel"),
        (lambda: Node("linear", "l", ("x",), {"weight": CODES}), "node", "Weight or FloatWeight, got ndarray"),
        (lambda: Node("conv2d", "c", ("x",), {"weight": Weight(CODES, Affine(1))}), "shape", "4 dimensions"),
        (
            lambda: Node("quantize", "q", ("x",), {"encoding": Table(1, [0, 1]), "inv_step": 1}),
            "encoding",
            "use encode",
        ),
        (lambda: Node("quantize", "q", ("x",), {"encoding": 8, "inv_step": 1}), "node", "Affine, Planes or Table"),
        (lambda: Weight(CODES.astype(np.int8), Affine(1)), "node", "uint8, got int8"),
        (lambda: Weight(CODES[0], Affine(1)), "shape", "(O, I) or (O, I, KH, KW)"),
        (lambda: Weight(CODES[:0], Affine(1)), "shape", "got (0, 3)"),
        (lambda: Weight(CODES + 2, Affine(1)), "value", "must have 1 bits, got 2"),
        (lambda: Weight(CODES + 128, Affine(8, signed=True)), "value", "clip to -127"),
        (lambda: Weight(CODES, Affine(8)), "encoding", "got 0..255"),
        (lambda: Weight(CODES, Planes(1, [[1], [2], [3]])), "encoding", "needs 1 or 2 grains, got 3"),
        (lambda: Weight(CODES, Table(1, [0, 128])), "encoding", "[-127, 127]"),
        (lambda: FloatWeight(np.full((1, 1), np.nan, np.float32)), "value", "must be finite"),
        (lambda: FloatWeight(np.ones((1, 1))), "node", "float32, got float64"),
        (lambda: Program((0,), (), "x"), "shape", "input shape must lie in 1..16777216"),
        (lambda: Program((1.5,), (), "x"), "node", "input shape must be an integer"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_refused(make: Any, kind: str, message: str) -> None:
    error = refusal(make)
    assert message in str(error)
    assert error.kind == kind


def encode(**attrs: Any) -> Any:
    return lambda: Node("encode", "e", ("x",), {"encoding": Affine(2), "thresholds": (0.0, 1.0, 2.0), **attrs})


def recode(**attrs: Any) -> Any:
    return lambda: Node("recode", "r", ("x",), {"encoding": Affine(2), "thresholds": (0, 1, 1), **attrs})


def threshold(rows: Any, directions: Any = (1, -1), **attrs: Any) -> Any:
    table = {"thresholds": np.array(rows, np.int32), "directions": np.array(directions, np.int8)}
    return lambda: Node("threshold", "t", ("x",), {"encoding": Affine(2), **table, **attrs})


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (encode(thresholds=(0.0, 1.0)), "encoding", "2 bits need 3 thresholds, got 2"),
        (encode(thresholds=(0.0, 0.0, 1.0)), "value", "strictly ascending"),
        (encode(thresholds=(-0.0, 1.0, 2.0)), "value", "not -0.0"),
        (encode(codes=(0, 1, 2)), "value", "permutation of 0..3"),
        (encode(codes=(0, 1, 2, 300)), "value", "0..255, got 300"),
        (encode(encoding=Table(1, [[0, 1], [2, 3]])), "encoding", "one grain, got 2"),
        (recode(thresholds=(0, 2, 1)), "value", "must not descend"),
        (recode(thresholds=(0, 1, 1 << 31)), "value", "got 2147483648"),
        (recode(thresholds=(0, 1, 1.5)), "node", "an integer, got 1.5"),
        (threshold([[0, 2, 1], [2, 1, 0]]), "value", "channel 0 must not descend (direction 1)"),
        (threshold([[0, 1, 2], [0, 1, 2]]), "value", "channel 1 must not ascend (direction -1)"),
        (threshold([[0, 1, 2], [0, 0, 0]], (1, 0)), "value", "+1 or -1, got 0 in channel 1"),
        (threshold([[0, 1], [0, 0]]), "shape", "thresholds must have shape (2, 3), got (2, 2)"),
        (threshold([[0, 1, 2]]), "shape", "thresholds must have shape (2, 3), got (1, 3)"),
    ],
)
def test_thresholds_refused(make: Any, kind: str, message: str) -> None:
    error = refusal(make)
    assert message in str(error)
    assert error.kind == kind


def test_legal_thresholds() -> None:
    assert encode()().attrs["thresholds"] == (0.0, 1.0, 2.0)
    assert recode()().attrs["thresholds"] == (0, 1, 1)
    extreme = -(2**31), 2**31 - 1
    node = threshold([[extreme[0], 0, extreme[1]], [5, 5, 5]])()
    assert node.attrs["thresholds"].tolist() == [[extreme[0], 0, extreme[1]], [5, 5, 5]]


def test_every_operator_is_in_the_documents() -> None:
    docs = Path(__file__).parents[2] / "docs"
    for page in ("format.md", "numerics.md"):
        text = (docs / page).read_text()
        assert [op for op in OPS if f"| `{op}` |" not in text] == []
