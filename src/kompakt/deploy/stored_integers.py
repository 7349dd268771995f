"""Networks that were quantized elsewhere: their stored integers become a program as they are, zero points included.

A tensor of 8-bit codes q means (q - zero) * scale. Where `zero` is the lowest code or 128, that is an unsigned or a
signed level. Otherwise the level is q, and `zero` times the sum of the weights joins the bias, which is exact where
nothing is padded; in front of padding a table turns q into q - zero. Weights w - zero that leave [-127, 127] are sums
of parts, each of which reads its own copy of the input channel. So every product-sum is the stored network's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from .._core.errors import DataError
from ..artifact import Node, Program, Weight, check, to_bytes
from ..artifact.check import window_shape
from ..artifact.weight import LEVEL_LIMIT
from ..data import card as read_card
from ..data import pretrained_folder
from ..encoding import Affine, Table

CODES, MIDDLE = 256, 128
ACTIVATIONS = {None: (-np.inf, np.inf), "relu": (0.0, np.inf), "relu6": (0.0, 6.0)}


@dataclass(frozen=True)
class Codes:
    """A value of codes: real = (level - rest) * scale.

    Attributes:
        low: level of the lowest code: 0, or -128 of signed levels.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    low: int
    rest: int


def import_network(name: str) -> tuple[bytes, int]:
    """The model file of the pretrained network `models/<name>`, and its number of layers. Raises: DataError."""
    card, path = read_card(name), pretrained_folder(name) / "weights.safetensors"
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: expected a safetensors file ({error})") from error
    program = import_integers(card, weights)
    layers = sum(node.op in ("conv2d", "linear") for node in program.nodes)
    return to_bytes(program, {"recipe": f"name={name}\nmodel.source=zoo:{name}", "training": "elsewhere"}), layers


def import_integers(card: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> Program:
    """The program of a card whose architecture is a list of operations with quantized tensors.

    Args:
        weights: of layer NN: `NN.weight` int8 or uint8, `weight_scale` and `weight_zero_point` (1 or O each), `bias`
            int32, `bias_scale`.
    Raises: DataError naming the operation that cannot be expressed exactly.
    """
    try:
        return _Import(card, weights).program()
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(f"{card.get('name', 'card')}: expected a list of quantized operations ({error!r})") from error


class _Import:
    """One method per operation; it gives the operation's value, and emits its nodes."""

    def __init__(self, card: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
        self.name, self.architecture, self.weights = str(card.get("name", "card")), card["architecture"], weights
        self.shape = tuple(card["input"]["shape"])
        self.nodes: list[Node] = []
        self.values: dict[str, Codes] = {}
        self.by_op = {
            "conv": self._conv, "linear": self._linear, "add": self._add, "avgpool": self._pool, "mean": self._pool,
            "flatten": self._flatten, "softmax": self._same,
        }  # fmt: skip

    def program(self) -> Program:
        source, quant = self.architecture["input"], self.architecture["input_quant"]
        one = np.ones(self.shape[0])
        self.values[source] = self._codes(f"{source}.q", Program.input_name, self.shape, one, 0 * one, None, quant)
        for operation in self.architecture["ops"]:
            if operation["op"] not in self.by_op:
                raise DataError(f"{self.name}: operation {operation['op']!r} is not supported")
            self.values[operation["out"]] = self.by_op[operation["op"]](operation)
        last = self.values[self.architecture["output"]]
        logits = self._real(last, last.scale)
        offset = np.full(last.shape[0], -last.rest * last.scale, np.float32)
        if last.rest:
            logits = self._emit("affine", "logits", logits, m=np.ones_like(offset), b=offset)
        program = Program(self.shape, tuple(self.nodes), logits)
        check(program)
        return program

    def _emit(self, op: str, name: str, *inputs: str, **attrs: Any) -> str:
        self.nodes.append(Node(op, name, inputs, attrs))
        return name

    def _real(self, value: Codes, scale: float) -> str:
        """Level times `scale` in float32."""
        return self._emit("dequantize", f"{value.name}.f{len(self.nodes)}", value.name, scale=float(np.float32(scale)))

    def _codes(
        self, name: str, source: str, shape: tuple[int, ...], m: np.ndarray, b: np.ndarray, act: str | None,
        quant: Mapping[str, Any],
    ) -> Codes:  # fmt: skip
        """Codes of the real value source * m[c] + b[c] behind its activation."""
        scale = float(quant["scale"])
        zero = int(quant["zero_point"]) + (MIDDLE if quant["dtype"] == "int8" else 0)
        low = -MIDDLE if zero == MIDDLE else 0
        rest = zero + low
        m, b = m / scale, b / scale + rest
        inv_step = 1.0
        if (m == m[0]).all() and not b.any() and source == Program.input_name:
            inv_step = float(np.float32(m[0]))
        else:
            source = self._emit("affine", f"{name}.y", source, m=m.astype(np.float32), b=b.astype(np.float32))
        lo, hi = (limit / scale + rest for limit in ACTIVATIONS[act])
        if lo > low or hi < low + CODES - 1:
            limits = {"lo": float(np.float32(max(lo, low)))}
            limits |= {"hi": float(np.float32(hi))} if np.isfinite(hi) else {}
            source = self._emit("clamp", f"{name}.c", source, **limits)
        self._emit("quantize", name, source, encoding=Affine(8, low < 0), inv_step=inv_step)
        return Codes(name, shape, scale, low, rest)

    def _conv(self, operation: Mapping[str, Any]) -> Codes:
        value, (level, scale, bias) = self.values[operation["inputs"][0]], self._layer(operation["param"])
        groups = value.shape[0] if operation["depthwise"] else 1
        stride = tuple(operation["stride"])
        level, padding = _padded(level, value.shape[1:], stride, operation["padding"] == "same")
        if any(padding) and value.rest:
            value = self._shifted(value)
        height, width = window_shape(value.shape[1:], level.shape[2:], stride, padding, (1, 1))
        attrs = {"stride": stride, "padding": padding, "groups": groups}
        return self._product("conv2d", operation, value, (len(level), height, width), (level, scale, bias), attrs)

    def _linear(self, operation: Mapping[str, Any]) -> Codes:
        value, layer = self.values[operation["inputs"][0]], self._layer(operation["param"])
        return self._product("linear", operation, value, (len(layer[0]),), layer, {})

    def _product(
        self, op: str, operation: Mapping[str, Any], value: Codes, shape: tuple[int, ...],
        layer: tuple[np.ndarray, np.ndarray, np.ndarray], attrs: dict[str, Any],
    ) -> Codes:  # fmt: skip
        level, scale, bias = layer
        parts, index = _in_range(level, attrs.get("groups", 1))
        name, source = f"layer{operation['param']}", value.name
        if index is not None:
            source = self._emit("gather", f"{name}.copies", source, index=index)
        weight = Weight((parts & (CODES - 1)).astype(np.uint8), Affine(8, True))
        self._emit(op, name, source, weight=weight, **attrs)
        unit = scale * value.scale
        offset = bias - unit * value.rest * level.reshape(len(level), -1).sum(1)
        return self._codes(operation["out"], name, shape, unit, offset, operation.get("act"), operation["quant"])

    def _layer(self, param: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Levels int64 (O, ...), their scale and the bias, float64 (O,) each."""
        weight = self.weights[f"{param}.weight"].astype(np.int64)
        outputs = len(weight)
        zero, scale = (
            np.broadcast_to(self.weights[f"{param}.weight_{kind}"], (outputs,)) for kind in ("zero_point", "scale")
        )
        bias = self.weights[f"{param}.bias"].astype(np.float64) * self.weights[f"{param}.bias_scale"]
        level = weight - zero.reshape(-1, *[1] * (weight.ndim - 1))
        return level, scale.astype(np.float64), np.broadcast_to(bias, (outputs,))

    def _shifted(self, value: Codes) -> Codes:
        """The same codes with levels that mean zero by 0, for a layer that pads."""
        table = Table(8, np.arange(CODES) - value.rest)
        name = self._emit("recode", f"{value.name}.z", value.name, encoding=table, thresholds=list(range(1, CODES)))
        return Codes(name, value.shape, value.scale, value.low - value.rest, 0)

    def _add(self, operation: Mapping[str, Any]) -> Codes:
        quant, values = operation["quant"], [self.values[name] for name in operation["inputs"]]
        total = self._emit("add", f"{operation['out']}.s", *(self._real(value, value.scale) for value in values))
        offset = -sum(value.rest * value.scale for value in values)
        shape = values[0].shape
        rows = np.ones(shape[0]), np.full(shape[0], offset)
        return self._codes(operation["out"], total, shape, *rows, operation.get("act"), quant)

    def _pool(self, operation: Mapping[str, Any]) -> Codes:
        value = self.values[operation["inputs"][0]]
        channels, *size = value.shape
        kernel = tuple(operation.get("kernel", size))
        if kernel != tuple(size):
            raise DataError(f"{self.name}: {operation['out']}: expected a pool over the whole map {size}, got {kernel}")
        name = self._emit("sum_pool", f"{operation['out']}.s", value.name)
        rows = np.full(channels, value.scale / np.prod(size)), np.full(channels, -value.rest * value.scale)
        return self._codes(operation["out"], name, (channels, 1, 1), *rows, operation.get("act"), operation["quant"])

    def _flatten(self, operation: Mapping[str, Any]) -> Codes:
        value = self._same(operation)
        if len(value.shape) == 1:
            return value
        if value.shape[1:] != (1, 1):  # stored with channels last, flattened here with channels first
            raise DataError(f"{self.name}: {operation['out']}: flattens a map of {value.shape[1:]}, expected 1x1")
        name = self._emit("flatten", operation["out"], value.name)
        return Codes(name, value.shape[:1], value.scale, value.low, value.rest)

    def _same(self, operation: Mapping[str, Any]) -> Codes:
        """Softmax does not change which output is the largest: the logits stay."""
        return self.values[operation["inputs"][0]]


def _padded(
    level: np.ndarray, size: tuple[int, ...], stride: tuple[int, ...], is_same: bool
) -> tuple[np.ndarray, tuple[int, int]]:
    """Weights and symmetric padding for `ceil(size / stride)` outputs.

    Where "same" padding has one row more behind than before, the kernel gets a first row of zeros instead.
    """
    padding = [0, 0]
    for axis in (0, 1) if is_same else ():
        kernel = level.shape[2 + axis]
        total = max((-(-size[axis] // stride[axis]) - 1) * stride[axis] + kernel - size[axis], 0)
        padding[axis] = total - total // 2
        extra = [(0, 0)] * 4
        extra[2 + axis] = (total % 2, 0)
        level = np.pad(level, extra)
    return level, (padding[0], padding[1])


def _in_range(level: np.ndarray, groups: int) -> tuple[np.ndarray, list[int] | None]:
    """Weights within [-127, 127] and, where some were not, the input channel that each of their columns reads.

    A level beyond the range is a sum of levels within: one column a part, on copies of the input channel.
    """
    parts: list[np.ndarray] = []
    rest = level
    while rest.any() or not parts:
        parts.append(np.clip(rest, -LEVEL_LIMIT, LEVEL_LIMIT))
        rest = rest - parts[-1]
    if len(parts) == 1:
        return parts[0], None
    if groups > 1:  # depthwise: every group reads all copies of its one channel
        return np.concatenate(parts, 1), np.repeat(np.arange(groups), len(parts)).tolist()
    index, columns = list(range(level.shape[1])), [parts[0]]
    for part in parts[1:]:
        used = np.flatnonzero(np.moveaxis(part, 1, 0).reshape(level.shape[1], -1).any(1))
        index += used.tolist()
        columns.append(part[:, used])
    return np.concatenate(columns, 1), index
