"""Random programs that many test files share: `random_program(seed)` and `resnet_like_program(seed)`.

Over a hundred seeds they use every operator, every encoding at 1-8 bits, strides, paddings, dilations, groups,
reversed and constant threshold channels, residual sums and concatenations (tests/support/test_programs.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kompakt.artifact import Node, Program, ValueType, Weight
from kompakt.artifact.attributes import UNARY_FUNCTIONS
from kompakt.artifact.check import TypeCheck, window_shape, zero_code
from kompakt.encoding import Affine, Encoding, Planes

from . import parts

CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129, 130)


class Builder:
    """Adds nodes to a program, checks each at once, and knows every type so far."""

    def __init__(self, rng: np.random.Generator, input_shape: tuple[int, ...]) -> None:
        self.rng = rng
        self.input_shape = input_shape
        self.nodes: list[Node] = []
        self._check = TypeCheck(input_shape)

    def add(self, op: str, *inputs: str, **attrs: Any) -> str:
        """Append a node; returns its name."""
        node = Node(op, f"n{len(self.nodes)}.{op}", inputs, attrs)
        self._check.add(node)
        self.nodes.append(node)
        return node.name

    def type(self, name: str) -> ValueType:
        """Type of a value."""
        return self._check.types[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a value, without the batch axis."""
        return self._check.types[name].shape

    def encoding(self, name: str) -> Encoding:
        """Encoding of a code value."""
        encoding = self._check.types[name].encoding
        assert encoding is not None
        return encoding

    def finish(self, x: str) -> Program:
        """Lead `x` to a float output."""
        if self.type(x).kind == "code":
            x = self.add("dequantize", x, scale=float(np.float32(self.rng.uniform(0.001, 2))))
        elif self.type(x).kind == "acc" or not self.nodes:
            x = affine(self, x)
        return Program(self.input_shape, tuple(self.nodes), x)


def random_program(seed: int) -> Program:
    """A legal program of 1 to about 20 nodes; the same for the same seed."""
    rng = np.random.default_rng(seed)
    channels = int(rng.choice(CHANNELS[:10] if rng.integers(2) else CHANNELS))
    shape = (channels, *(int(n) for n in rng.integers(1, 10, 2))) if rng.integers(6) else (channels,)
    reads_tokens = rng.integers(7) == 0
    builder = Builder(rng, (int(rng.integers(1, 20)),) if reads_tokens else shape)
    x = _embedding(builder) if reads_tokens else "input"
    for _ in range(int(rng.integers(1, 9))):
        x = _step(builder, x)
    return builder.finish(x)


def random_input(program: Program, seed: int, batch: int = 2) -> np.ndarray:
    """float32 (batch, *input_shape): normal values, with zeros of both signs, ties and large values; or token ids."""
    rng = np.random.default_rng([seed, 1])
    if token_rows(program):
        return rng.integers(0, token_rows(program), (batch, *program.input_shape)).astype(np.float32)
    x = (2 * rng.standard_normal((batch, *program.input_shape))).astype(np.float32)
    fate = rng.random(x.shape)
    x[fate < 0.05] = 0.0
    x[(fate >= 0.05) & (fate < 0.08)] = -0.0
    ties = (fate >= 0.08) & (fate < 0.2)
    x[ties] = np.rint(2 * x[ties]) / 2
    x[fate > 0.98] *= 1e6
    return x


def resnet_like_program(seed: int, widths: tuple[int, ...] = (8, 16, 32), size: int = 16, blocks: int = 1) -> Program:
    """A small CIFAR-style residual network as lowering writes it: 8-bit ends, 2-bit planes between, 10 outputs."""
    builder = Builder(np.random.default_rng(seed), (3, size, size))
    x = builder.add("quantize", "input", encoding=Affine(8, signed=True), inv_step=32.0)
    x = conv(builder, x, widths[0], 3, 1, Affine(8, signed=True))
    x = threshold(builder, x, Affine(2))
    for width in widths:
        for block in range(blocks):
            x = _residual(builder, x, width, 2 if block == 0 and width != widths[0] else 1)
    x = affine(builder, builder.add("sum_pool", x))
    x = builder.add("quantize", builder.add("flatten", x), encoding=Affine(8), inv_step=64.0)
    encoding = Affine(8, signed=True)
    x = builder.add("linear", x, weight=parts.weight(builder.rng, (10, builder.shape(x)[0]), encoding))
    return builder.finish(x)


def affine(builder: Builder, x: str) -> str:
    """An `affine` that brings sums to a magnitude of about one; some channels negative or zero."""
    rng, rows = builder.rng, builder.shape(x)[0]
    m = rng.normal(0.0, 0.01 if builder.type(x).kind == "acc" else 1.0, rows).astype(np.float32)
    m[rng.random(rows) < 0.05] = 0.0
    return builder.add("affine", x, m=m, b=rng.normal(0.0, 1.0, rows).astype(np.float32))


def conv(builder: Builder, x: str, outputs: int, kernel: int, stride: int, encoding: Encoding | None = None) -> str:
    """A square convolution with "same" padding."""
    weight = parts.weight(builder.rng, (outputs, builder.shape(x)[0], kernel, kernel), encoding)
    return builder.add("conv2d", x, weight=weight, stride=(stride, stride), padding=(kernel // 2, kernel // 2))


def threshold(builder: Builder, x: str, encoding: Encoding) -> str:
    """A `threshold` on sums, placed where the sums of `x` lie."""
    source = next(node for node in builder.nodes if node.name == x)
    spread = 100.0
    if isinstance(source.attrs.get("weight"), Weight):
        spread = parts.typical_sum(source.attrs["weight"], builder.encoding(source.inputs[0]))
    rows, directions = parts.threshold_rows(builder.rng, builder.shape(x)[0], encoding.bits, spread)
    codes = parts.code_order(builder.rng, encoding)
    return builder.add("threshold", x, encoding=encoding, thresholds=rows, directions=directions, codes=codes)


def encode(builder: Builder, x: str, encoding: Encoding) -> str:
    """`quantize` where the encoding allows it, else (and sometimes) `encode`."""
    rng = builder.rng
    if isinstance(encoding, Affine) and rng.integers(4):
        return builder.add("quantize", x, encoding=encoding, inv_step=float(np.float32(2.0 ** rng.uniform(-2, 6))))
    # Half of the thresholds are multiples of 1/2, which inputs hit exactly.
    count = (1 << encoding.bits) - 1
    steps = np.unique(np.concatenate([rng.normal(0, 2, 2 * count + 8), np.rint(rng.normal(0, 4, count)) / 2]))
    steps = np.unique(steps.astype(np.float32) + np.float32(0))  # + 0 turns -0.0 into 0.0
    chosen = tuple(np.sort(rng.choice(steps, count, replace=False)).tolist())
    return builder.add("encode", x, encoding=encoding, thresholds=chosen, codes=parts.code_order(rng, encoding))


def _residual(builder: Builder, x: str, width: int, stride: int) -> str:
    """A basic block: two convolutions, a parameter-free shortcut, sum, ReLU, 2-bit codes."""
    rng = builder.rng

    def planes() -> Encoding:
        return Planes(2, parts.bounded_basis(rng, 2, width, 1, 100))

    y = threshold(builder, conv(builder, x, width, 3, stride, planes()), Affine(2))
    y = affine(builder, conv(builder, y, width, 3, 1, planes()))
    missing = width - builder.shape(x)[0]
    if missing or stride > 1:
        x = builder.add("shift_pad", x, stride=stride, before=missing // 2, after=missing - missing // 2)
    y = builder.add("add", y, builder.add("dequantize", x, scale=0.5))
    return builder.add("quantize", builder.add("clamp", y), encoding=Affine(2), inv_step=1.5)


def _step(builder: Builder, x: str) -> str:
    """One to five nodes more."""
    kind, is_map = builder.type(x).kind, len(builder.shape(x)) == 3
    choices: dict[str, list[Any]] = {
        "f32": [_encode_any, _encode_any, _encode_any, _affine_clamp, _float_product, _self_sum],
        "code": [_product, _product, _product, _product, _recode, _recode, _dequantize_sum, _concat],
        "acc": [_threshold_any, _threshold_any, _requantize, _requantize, lambda b, v: affine(b, v)],
    }
    maps: list[Any] = [_max_pool, _sum_pool, _shift_pad, _concat] if kind != "acc" else []
    options = choices[kind] + (maps if is_map else [])
    if is_map and builder.rng.integers(12) == 0:
        return builder.add("flatten", x)
    if kind == "f32" and builder.rng.integers(3) == 0:
        return _float_function(builder, x)
    if builder.rng.integers(8) == 0:
        return _reshape(builder, x) if kind == "acc" or builder.rng.integers(2) else _gather(builder, x)
    return str(options[int(builder.rng.integers(len(options)))](builder, x))


def _encode_any(builder: Builder, x: str) -> str:
    return encode(builder, x, parts.activation_encoding(builder.rng))


def _threshold_any(builder: Builder, x: str) -> str:
    return threshold(builder, x, parts.activation_encoding(builder.rng))


def _requantize(builder: Builder, x: str) -> str:
    """Codes from sums, alone or with a residual: sums of their own, the codes before, or none."""
    rng, channels = builder.rng, builder.shape(x)[0]
    inputs = [x]
    shape, codes = builder.shape(x), [node.name for node in builder.nodes if builder.type(node.name).kind == "code"]
    fitting = [name for name in codes if builder.shape(name) == shape and isinstance(builder.encoding(name), Affine)]
    sums = [n.name for n in builder.nodes if builder.type(n.name).kind == "acc" and builder.shape(n.name) == shape]
    others = [*fitting, sums[0]]
    if rng.integers(3):
        inputs.append(others[int(rng.integers(len(others)))])
    # A quarter of the room that the sums leave, so that two inputs, a bias and the rounding fit.
    room = 28 - max(builder.type(name).bound.bit_length() or 8 for name in inputs)
    left = rng.integers(0, max(1, min(room, 9)), (len(inputs), channels)).astype(np.int8)
    right = np.clip(rng.integers(-3, 22, channels), 0, None).astype(np.int8)
    bias = rng.integers(-(1 << 20), 1 << 20, channels).astype(np.int32)
    if room < 1:
        inputs, left, bias = inputs[:1], left[:1] * 0, bias * 0
    encoding = Affine(int(rng.integers(1, 9)), signed=bool(rng.integers(2)))
    low, high = encoding.limits
    top = int(rng.integers(low + 1, high + 1)) if rng.integers(3) == 0 else high
    return builder.add("requantize", *inputs, encoding=encoding, bias=bias, left=left, right=right, top=top)


def _affine_clamp(builder: Builder, x: str) -> str:
    rng = builder.rng
    lo = float(rng.choice([0.0, 0.0, -1.0]))
    return builder.add(
        "clamp", affine(builder, x), lo=lo, hi=None if rng.integers(2) else float(rng.choice([1.0, 6.0]))
    )


def _self_sum(builder: Builder, x: str) -> str:
    return builder.add("add", affine(builder, x), x)


def _product(builder: Builder, x: str) -> str:
    rng, shape = builder.rng, builder.shape(x)
    if len(shape) == 1:
        return builder.add("linear", x, weight=parts.weight(rng, (int(rng.choice(CHANNELS)), shape[0])))
    weight_shape, attrs = _random_window(builder, x, int(rng.choice(CHANNELS)))
    return builder.add("conv2d", x, weight=parts.weight(rng, weight_shape), **attrs)


def _float_product(builder: Builder, x: str) -> str:
    rng, shape = builder.rng, builder.shape(x)
    make = parts.float_weight if rng.integers(2) else parts.weight
    if len(shape) == 1:
        return builder.add("linear", x, weight=make(rng, (int(rng.choice(CHANNELS)), shape[0])))
    weight_shape, attrs = _random_window(builder, x, int(rng.choice(CHANNELS[:12])))
    return builder.add("conv2d", x, weight=make(rng, weight_shape), **attrs)


def _random_window(builder: Builder, x: str, outputs: int) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Weight shape and attributes of a convolution that fits; falls back to 1 x 1 where the draw does not."""
    rng, (channels, height, width) = builder.rng, builder.shape(x)
    groups = int(rng.choice([1, 1, 1, channels, 2]))
    groups = groups if channels % groups == 0 else 1
    outputs = groups * max(1, outputs // groups)
    kernel, stride = (tuple(int(k) for k in rng.integers(1, 4, 2)) for _ in range(2))
    padding, dilation = tuple(rng.integers(0, 3, 2).tolist()), tuple(rng.integers(1, 3, 2).tolist())
    if min(window_shape((height, width), kernel, stride, padding, dilation)) < 1:
        kernel, dilation = (1, 1), (1, 1)
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (outputs, channels // groups, *kernel), attrs


def _recode(builder: Builder, x: str) -> str:
    rng, encoding = builder.rng, parts.activation_encoding(builder.rng)
    table = builder.encoding(x).table()
    steps = np.sort(rng.integers(int(table.min()) - 2, int(table.max()) + 3, (1 << encoding.bits) - 1)).tolist()
    return builder.add("recode", x, encoding=encoding, thresholds=steps, codes=parts.code_order(rng, encoding))


def _dequantize_sum(builder: Builder, x: str) -> str:
    """A residual shape: two ways to one sum."""
    encoding = parts.activation_encoding(builder.rng)
    y = builder.add("dequantize", x, scale=0.125)
    z = builder.add("dequantize", encode(builder, y, encoding), scale=0.25)
    return builder.add("add", y, z)


def _concat(builder: Builder, x: str) -> str:
    if builder.shape(x)[0] > 130:
        return builder.add("dequantize", x, scale=0.5) if builder.type(x).kind == "code" else affine(builder, x)
    if builder.type(x).kind == "f32":
        return builder.add("concat", x, affine(builder, x), x)
    other = builder.add("dequantize", x, scale=0.5)
    encoding = builder.encoding(x)
    return builder.add("concat", x, encode(builder, other, encoding))


def _random_pool(builder: Builder, x: str) -> dict[str, Any]:
    rng, size = builder.rng, builder.shape(x)[1:]
    kernel = tuple(int(min(k, n)) for k, n in zip(rng.integers(1, 4, 2), size, strict=True))
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    attrs: dict[str, Any] = {"kernel": kernel, "padding": padding}
    if rng.integers(2):
        attrs["stride"] = tuple(rng.integers(1, 4, 2).tolist())
    return attrs


def _max_pool(builder: Builder, x: str) -> str:
    return builder.add("max_pool", x, **_random_pool(builder, x))


def _sum_pool(builder: Builder, x: str) -> str:
    return builder.add("sum_pool", x, **({} if builder.rng.integers(3) == 0 else _random_pool(builder, x)))


def _reshape(builder: Builder, x: str) -> str:
    """The same positions as a column, a row, or with two rows where they are even in number."""
    positions = math.prod(builder.shape(x)[1:])
    sizes = [(positions, 1), (1, positions), *([(2, positions // 2)] if positions % 2 == 0 else [])]
    return builder.add("reshape", x, size=sizes[int(builder.rng.integers(len(sizes)))])


def _gather(builder: Builder, x: str) -> str:
    """A permutation, a slice, or any places with repetitions."""
    rng, shape = builder.rng, builder.shape(x)
    axis = int(rng.integers(2)) if len(shape) == 3 else 0
    places = math.prod(shape[1:]) if axis else shape[0]
    order = (rng.permutation(places), np.arange(rng.integers(places), places), rng.integers(0, places, 20))
    return builder.add("gather", x, index=order[int(rng.integers(3))].tolist(), axis=axis)


def _recurrent(builder: Builder, x: str) -> str:
    """An LSTM or GRU over the positions of any map, its gates gathered from the channels there are."""
    rng, op = builder.rng, str(builder.rng.choice(["lstm", "gru", "lstm"]))
    width = int(rng.integers(1, 12))
    rows = width * (4 if op == "lstm" else 3)
    gates = builder.add("gather", x, index=rng.integers(0, builder.shape(x)[0], rows).tolist())
    m = rng.normal(0, 0.02, rows).astype(np.float32)
    attrs: dict[str, Any] = {"m": m, "b": rng.normal(0, 1, rows).astype(np.float32)}
    if rng.integers(3) == 0:
        make = parts.float_weight if rng.integers(2) else parts.weight
        return builder.add(op, gates, weight=make(rng, (rows, width)), **attrs)
    encoding = Affine(int(rng.integers(1, 9)), signed=bool(rng.integers(4)))
    step = float(np.float32(2.0 ** (encoding.bits - 1)))
    weight = parts.weight(rng, (rows, width))
    return builder.add(op, gates, weight=weight, encoding=encoding, inv_step=step, **attrs)


def _embedding(builder: Builder) -> str:
    """A table of codes with one grain, or of floats."""
    rng = builder.rng
    shape = (int(rng.integers(1, 40)), int(rng.choice(CHANNELS[:12])))
    if rng.integers(3) == 0:
        return builder.add("embedding", "input", weight=parts.float_weight(rng, shape))
    encoding = parts.weight_encoding(rng, 1)
    return builder.add("embedding", "input", weight=parts.weight(rng, shape, encoding))


def token_rows(program: Program) -> int:
    """Token ids that the program's input may hold; 0 where it holds other numbers."""
    return min((node.attrs["weight"].shape[0] for node in program.nodes if node.op == "embedding"), default=0)


def _float_function(builder: Builder, x: str) -> str:
    """One of the operators over floats that is more than a multiplication."""
    rng, shape = builder.rng, builder.shape(x)
    kind = int(rng.integers(6)) if len(shape) == 3 else int(rng.integers(3))
    if kind > 3:
        return _recurrent(builder, x)
    if kind == 0:
        return builder.add("unary", x, function=str(rng.choice(UNARY_FUNCTIONS)))
    if kind == 1:
        return builder.add("add_constant", x, value=rng.standard_normal(shape).astype(np.float32))
    if kind == 2:
        return builder.add("layer_norm", x, eps=float(np.float32(rng.choice([1e-5, 1e-3]))))
    heads = int(rng.choice([h for h in (1, 2, 3, 4) if shape[0] % h == 0]))
    others = [affine(builder, x), x] if rng.integers(2) else [x, affine(builder, x)]
    return builder.add("attention", x, *others, heads=heads, scale=float(np.float32(rng.uniform(0.1, 1))))


def _shift_pad(builder: Builder, x: str) -> str:
    rng, value = builder.rng, builder.type(x)
    before, after = (0, 0) if rng.integers(4) == 0 else rng.integers(0, 6, 2).tolist()
    if value.encoding is not None and zero_code(value.encoding) is None:
        before = after = 0
    return builder.add("shift_pad", x, stride=int(rng.integers(1, 4)), before=before, after=after)
