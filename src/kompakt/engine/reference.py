"""The definition of what a program computes, in NumPy: slow, plain, exact. docs/numerics.md in executable form.

Every function below is one row of the operator table there. Arrays carry the batch axis first. Float operations are
single float32 operations in the stated order; integer sums are exact in int64 and are proven to fit int32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.errors import InputError
from ..artifact import FloatWeight, Node, Program, ValueType, check
from ..artifact.check import half, zero_code
from ..encoding import Encoding, levels
from . import float_ops
from .float_ops import maximum, minimum

Types = Sequence[ValueType]


def run(program: Program, x: np.ndarray) -> np.ndarray:
    """Output of a program.

    Args:
        program: verified here.
        x: float32 (N, *input_shape), no NaN.
    Returns: float32 (N, *output_shape).
    Raises: InputError for another type or shape, or NaN; ArtifactError if the program is not legal.
    """
    return run_all(program, x)[program.output]


def run_all(program: Program, x: np.ndarray) -> dict[str, np.ndarray]:
    """Every value of a program by name, the input's included: float32, int32 (`acc`) or uint8 (`code`).

    Args, Raises: as `run`.
    """
    types = check(program)
    values = {program.input_name: _checked_input(program, x)}
    # Infinities and NaN that arise inside are part of the definition.
    with np.errstate(all="ignore"):
        for node in program.nodes:
            inputs = [values[name] for name in node.inputs]
            values[node.name] = _OPS[node.op](node, inputs, [types[name] for name in node.inputs])
    return values


def _checked_input(program: Program, x: np.ndarray) -> np.ndarray:
    if not isinstance(x, np.ndarray) or x.dtype != np.float32:
        found = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise InputError(f"input: expected a float32 array, got {found}; convert with x.astype(numpy.float32)")
    if x.shape[1:] != program.input_shape or x.ndim == 0:
        raise InputError(f"input: expected shape (N, {', '.join(map(str, program.input_shape))}), got {x.shape}")
    if np.isnan(x).any():
        raise InputError("input: holds NaN; remove it before running")
    limits = [node.attrs["weight"].shape[0] for node in program.nodes if node.op == "embedding"]
    wrong = (x < 0) | (x >= min(limits, default=0)) | (x != np.floor(x))
    if limits and wrong.any():
        raise InputError(f"input: expected whole token ids in 0..{min(limits) - 1}, got {x[wrong][0]}")
    return x


def _by_channel(row: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(C,) shaped to broadcast over (N, C, ...)."""
    shape = (-1, *[1] * (x.ndim - 2))
    return np.reshape(row, shape)


def _choose(index: np.ndarray, node: Node) -> np.ndarray:
    return np.take(np.array(node.attrs["codes"], np.uint8), index)


def _levels(x: np.ndarray, encoding: Encoding) -> np.ndarray:
    return levels(x, encoding).astype(np.int64)


def _quantize(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    encoding = node.attrs["encoding"]
    low, high = np.array(encoding.limits, np.float32)
    # rint rounds ties to even.
    q = minimum(maximum(np.rint(inputs[0] * np.float32(node.attrs["inv_step"])), low), high)
    mask = np.int64((1 << encoding.bits) - 1)
    return np.bitwise_and(q.astype(np.int64), mask).astype(np.uint8)


def _encode(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    index = np.zeros(inputs[0].shape, np.int64)
    for threshold in node.attrs["thresholds"]:
        index += inputs[0] > np.float32(threshold)
    return _choose(index, node)


def _recode(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    level = _levels(inputs[0], _encoding(types[0]))
    index = np.zeros(level.shape, np.int64)
    for threshold in node.attrs["thresholds"]:
        index += level >= threshold
    return _choose(index, node)


def _threshold(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    x = inputs[0]
    ascends = _by_channel(node.attrs["directions"] == 1, x)
    index = np.zeros(x.shape, np.int64)
    for row in node.attrs["thresholds"].T:
        bound = _by_channel(row, x)
        index += np.where(ascends, x >= bound, x <= bound)
    return _choose(index, node)


def _requantize(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    """Integers only: int64 holds every step, and the type check proves that int32 does."""
    encoding, right = node.attrs["encoding"], _by_channel(node.attrs["right"].astype(np.int64), inputs[0])
    total = _by_channel(node.attrs["bias"].astype(np.int64), inputs[0])
    for x, value, left in zip(inputs, types, node.attrs["left"].astype(np.int64), strict=True):
        level = x.astype(np.int64) if value.encoding is None else _levels(x, value.encoding)
        total = total + (level << _by_channel(left, x))
    level = np.clip((total + half(right)) >> right, encoding.limits[0], node.attrs["top"])
    return np.asarray(np.bitwise_and(level, (1 << encoding.bits) - 1).astype(np.uint8))


def _dequantize(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    level = levels(inputs[0], _encoding(types[0])).astype(np.float32)
    return np.asarray(level * np.float32(node.attrs["scale"]))


def _affine(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    x = inputs[0].astype(np.float32)
    return np.asarray(x * _by_channel(node.attrs["m"], x) + _by_channel(node.attrs["b"], x))


def _add(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    return np.asarray(inputs[0] + inputs[1])


def _clamp(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    y = maximum(inputs[0], np.array(node.attrs["lo"], np.float32))
    return y if node.attrs["hi"] is None else minimum(y, np.array(node.attrs["hi"], np.float32))


@dataclass(frozen=True)
class _Window:
    """Positions that a sliding window reads: one kernel position at a time, padding included."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)

    def taps(self, x: np.ndarray, fill: float) -> Iterator[np.ndarray]:
        """For every (kh, kw) in C order: what the outputs read there, (N, C, OH, OW); padding reads `fill`."""
        for kh in range(self.kernel[0]):
            rows, inside_rows = self._positions(0, kh, x.shape[2])
            for kw in range(self.kernel[1]):
                columns, inside_columns = self._positions(1, kw, x.shape[3])
                inside = inside_rows[:, None] & inside_columns[None, :]
                yield np.where(inside, x[:, :, rows[:, None], columns[None, :]], x.dtype.type(fill))

    def _positions(self, axis: int, offset: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        count = (size + 2 * self.padding[axis] - extent) // self.stride[axis] + 1
        position = np.arange(count) * self.stride[axis] - self.padding[axis] + offset * self.dilation[axis]
        return np.clip(position, 0, size - 1), (position >= 0) & (position < size)


def _conv2d(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    attrs = node.attrs
    weight = attrs["weight"].levels()
    window = _Window(weight.shape[2:], attrs["stride"], attrs["padding"], attrs["dilation"])
    if types[0].encoding is not None:
        return _integer_products(_levels(inputs[0], _encoding(types[0])), weight, window, attrs["groups"])
    parts = zip(np.split(inputs[0], attrs["groups"], axis=1), np.split(weight, attrs["groups"], axis=0), strict=True)
    return np.concatenate([_float_products(part, rows, window) for part, rows in parts], axis=1)


def _integer_products(x: np.ndarray, weight: np.ndarray, window: _Window, groups: int = 1) -> np.ndarray:
    """Exact sums: x (N, groups · I, H, W) levels, weight (O, I, KH, KW) levels, (N, O, OH, OW) int32."""
    outputs, inputs = weight.shape[:2]
    columns = weight.reshape(groups, outputs // groups, inputs, -1).astype(np.float64)
    # float64 holds every partial sum exactly: magnitudes stay below 2^31 by the bound of the format.
    total: np.ndarray = np.zeros((), np.float64)
    for k, tap in enumerate(window.taps(x.astype(np.float64), 0)):
        total = total + columns[..., k] @ tap.reshape(len(x), groups, inputs, tap.shape[2] * tap.shape[3])
    return total.astype(np.int32).reshape(len(x), outputs, *tap.shape[2:])


def _float_products(x: np.ndarray, weight: np.ndarray, window: _Window) -> np.ndarray:
    """`s = s + x * w` over (i, kh, kw), float32: x (N, I, H, W), weight (O, I, KH, KW), (N, O, OH, OW)."""
    weight = weight.astype(np.float32).reshape(*weight.shape[:2], -1)
    total: np.ndarray = np.zeros((), np.float32)
    for i in range(x.shape[1]):
        for k, tap in enumerate(window.taps(x[:, i : i + 1], 0)):
            total = total + tap * weight[:, i, k].reshape(1, -1, 1, 1)
    return total


def _linear(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    weight = node.attrs["weight"].levels()
    window = _Window((1, 1), (1, 1), (0, 0))
    is_float = types[0].encoding is None
    x = inputs[0] if is_float else _levels(inputs[0], _encoding(types[0]))
    multiply = _float_products if is_float else _integer_products
    return multiply(x[:, :, None, None], weight[:, :, None, None], window)[:, :, 0, 0]


def _max_pool(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    window = _Window(node.attrs["kernel"], node.attrs["stride"], node.attrs["padding"])
    if types[0].encoding is None:
        best = np.array(-np.inf, np.float32)
        for tap in window.taps(inputs[0], -np.inf):
            best = maximum(tap, best)
        return best
    # Below every level, so that padding never wins; argmax takes the first of equals.
    level = np.stack(list(window.taps(_levels(inputs[0], _encoding(types[0])), -1000)))
    codes = np.stack(list(window.taps(inputs[0], 0)))
    winner = level.argmax(axis=0)[None]
    return np.asarray(np.take_along_axis(codes, winner, axis=0)[0])


def _sum_pool(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    height, width = inputs[0].shape[2:]
    kernel = node.attrs["kernel"] or (height, width)
    window = _Window(kernel, node.attrs["stride"] or (1, 1), node.attrs["padding"])
    if types[0].encoding is None:
        total = np.zeros((), np.float32)
        for tap in window.taps(inputs[0], 0):
            total = total + tap
        return total
    return np.asarray(sum(window.taps(_levels(inputs[0], _encoding(types[0])), 0))).astype(np.int32)


def _concat(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    return np.concatenate(inputs, axis=1)


def _shift_pad(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    stride, encoding = node.attrs["stride"], types[0].encoding
    kept = inputs[0][:, :, ::stride, ::stride]
    added = ((0, 0), (node.attrs["before"], node.attrs["after"]), (0, 0), (0, 0))
    zero = 0 if encoding is None else zero_code(encoding) or 0
    return np.pad(kept, added, constant_values=zero)


def _flatten(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    # Not -1, which an empty batch leaves open.
    return inputs[0].reshape(len(inputs[0]), math.prod(types[0].shape))


def _unary(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    return float_ops.UNARY[node.attrs["function"]](inputs[0])


def _add_constant(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    return np.asarray(inputs[0] + node.attrs["value"])


def _layer_norm(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    return float_ops.layer_norm(inputs[0], node.attrs["eps"])


def _attention(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    q, k, v = inputs
    return float_ops.attention(q, k, v, node.attrs["heads"], node.attrs["scale"])


def _embedding(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    weight, rows = node.attrs["weight"], inputs[0].astype(np.int64)
    table = weight.levels() if isinstance(weight, FloatWeight) else weight.codes
    return np.moveaxis(table[rows], 2, 1)[..., None]


def _recurrent(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    """The state after every position, which are the steps."""
    weight, encoding = node.attrs["weight"], node.attrs["encoding"]
    coder = None if encoding is None else Node("quantize", "q", ("s",), _coder(node))
    product = Node("linear", "l", ("s",), {"weight": weight})
    size = (len(inputs[0]), weight.shape[1])
    state, cell = np.zeros(size, np.float32), np.zeros(size, np.float32)
    advance = float_ops.lstm if node.op == "lstm" else float_ops.gru
    shown, states = _shown(coder, state), []
    for gates in np.moveaxis(inputs[0].reshape(*inputs[0].shape[:2], -1), 2, 0):
        sums = _linear(product, [shown], [ValueType("", (), encoding)])
        state, cell = advance(gates, sums.astype(np.float32) * node.attrs["m"] + node.attrs["b"], state, cell)
        shown = _shown(coder, state)
        states.append(shown)
    return np.stack(states, 2).reshape(*size, *inputs[0].shape[2:])


def _coder(node: Node) -> dict[str, Any]:
    return {"encoding": node.attrs["encoding"], "inv_step": node.attrs["inv_step"]}


def _shown(coder: Node | None, state: np.ndarray) -> np.ndarray:
    return state if coder is None else _quantize(coder, [state], [])


def _reshape(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    return inputs[0].reshape(*inputs[0].shape[:2], *node.attrs["size"])


def _gather(node: Node, inputs: list[np.ndarray], types: Types) -> np.ndarray:
    index, x = np.array(node.attrs["index"]), inputs[0]
    if node.attrs["axis"] == 0:
        return x[:, index]
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))[:, :, index, None]


def _encoding(value: ValueType) -> Encoding:
    assert value.encoding is not None, "the type check lets only codes come here"
    return value.encoding


_OPS: dict[str, Callable[[Node, list[np.ndarray], Types], np.ndarray]] = {
    "quantize": _quantize,
    "encode": _encode,
    "recode": _recode,
    "threshold": _threshold,
    "requantize": _requantize,
    "dequantize": _dequantize,
    "conv2d": _conv2d,
    "linear": _linear,
    "affine": _affine,
    "add": _add,
    "clamp": _clamp,
    "max_pool": _max_pool,
    "sum_pool": _sum_pool,
    "concat": _concat,
    "shift_pad": _shift_pad,
    "flatten": _flatten,
    "unary": _unary,
    "add_constant": _add_constant,
    "layer_norm": _layer_norm,
    "attention": _attention,
    "embedding": _embedding,
    "lstm": _recurrent,
    "gru": _recurrent,
    "reshape": _reshape,
    "gather": _gather,
}
