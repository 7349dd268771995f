"""Quantized graph to integer program, node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import fx, nn
from torch.nn.utils import parametrize

from ..artifact import FloatWeight, Node, Program, Weight
from ..encoding import Affine, levels
from ..graph import Graph
from ..graph.fold import batch_norm_affine
from ..quant import Quantizer
from .hoist import hoist_slots
from .thresholds import thresholds_of
from .values import Coded, Lazy, Value

THRESHOLD_BITS = 4  # up to here an activation is encoded by comparing its accumulator with integers


def lower(graph: Graph) -> Program:
    """The integer program of a graph with quantizers, batch-norm folded into thresholds and epilogues.

    Operators as in docs/numerics.md.
    """
    graph = hoist_slots(graph)
    return _Lowering(graph).program()


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.values: dict[fx.Node, Value] = {graph.input: Lazy(Program.input_name, "f32")}
        self.floats: dict[int, str] = {}  # by identity of the value

    def program(self) -> Program:
        for node in self.graph.nodes:
            kind = self.graph.kind(node)
            self.values[node] = getattr(self, f"_{kind.op}")(node, kind.attrs)
        output = self._float(self.graph.output)
        return Program(tuple(self.graph.example.shape[1:]), tuple(self.nodes), output)

    def _emit(self, op: str, name: str, inputs: tuple[str, ...], **attrs: Any) -> str:
        self.nodes.append(Node(op, name, inputs, attrs))
        return name

    # -- floats on demand

    def _float(self, node: fx.Node) -> str:
        """Name of the node's value in float32, emitted once."""
        value = self.values[node]
        if isinstance(value, Lazy) and value.m is None and value.clamp is None and value.kind == "f32":
            return value.name
        if id(value) not in self.floats:
            self.floats[id(value)] = self._emit_float(value)
        return self.floats[id(value)]

    def _emit_float(self, value: Value) -> str:
        if isinstance(value, Coded):
            return self._emit("dequantize", f"{value.name}.f", (value.name,), scale=float(value.scale))
        name = value.name
        if value.m is not None:
            m, b = value.affine32
            name = self._emit("affine", self._fresh(f"{value.name}.y"), (name,), m=m, b=b)
        if value.clamp is not None:
            lo, hi = value.clamp
            name = self._emit("clamp", self._fresh(f"{value.name}.c"), (name,), lo=lo, **({} if np.isinf(hi) else {"hi": hi}))
        return name

    def _fresh(self, name: str) -> str:
        taken = {node.name for node in self.nodes}
        return next(c for c in (name, *(f"{name}{i}" for i in range(2, 10_000))) if c not in taken)

    # -- layers

    def _conv2d(self, node: fx.Node, attrs: dict) -> Value:
        return self._layer("conv2d", node, attrs)

    def _linear(self, node: fx.Node, attrs: dict) -> Value:
        return self._layer("linear", node, attrs)

    def _layer(self, op: str, node: fx.Node, attrs: dict) -> Value:
        layer = self.graph.submodule(node)
        weight, scale, weight_sum = _weight_of(layer)
        source = self.values[node.args[0]]
        bias = layer.bias.detach().double().numpy() if layer.bias is not None else np.zeros(len(scale))
        name = str(node.target)
        if isinstance(source, Coded) and isinstance(weight, Weight):
            self._emit(op, name, (source.name,), weight=weight, **attrs)
            bound = int(np.abs(source.encoding.table().astype(int)).max() * weight_sum)
            return Lazy(name, "acc", scale * float(source.scale), bias, bound=bound)
        self._emit(op, name, (self._float(node.args[0]),), weight=weight, **attrs)
        return Lazy(name, "f32", scale, bias)

    def _batch_norm(self, node: fx.Node, attrs: dict) -> Value:
        multiplier, offset = batch_norm_affine(self.graph.submodule(node))
        value = self.values[node.args[0]]
        if isinstance(value, Coded) or value.clamp is not None:
            value = Lazy(self._float(node.args[0]), "f32")
        return value.then_affine(multiplier.numpy(), offset.numpy())

    # -- activations

    def _slot(self, node: fx.Node, attrs: dict) -> Value:
        quantizer = self.graph.submodule(node).quantizer
        encoding, scale = quantizer.encoding()
        source, name = self.values[node.args[0]], node.name.removeprefix("slots_")
        if isinstance(source, Coded):
            self._emit_recode(name, source, quantizer)
        elif source.kind == "acc" and source.m is not None and encoding.bits <= THRESHOLD_BITS:
            self._emit_threshold(name, source, quantizer)
        else:
            self._emit_quantize(name, self._before_quantizer(node.args[0], quantizer), quantizer)
        return Coded(name, encoding, np.float32(scale[0]))

    def _before_quantizer(self, node: fx.Node, quantizer: Quantizer) -> str:
        """Float input of a quantizer; a ReLU in front of levels that start at 0 changes nothing and is left out."""
        value = self.values[node]
        if isinstance(value, Lazy) and value.clamp == (0.0, np.inf) and quantizer.grid.starts_at_zero(quantizer.rule.final_parameters()):
            return self._emit_float(Lazy(value.name, value.kind, value.m, value.b)) if value.m is not None or value.kind == "acc" else value.name
        return self._float(node)

    def _emit_quantize(self, name: str, source: str, quantizer: Quantizer) -> None:
        encoding, scale = quantizer.encoding()
        if isinstance(encoding, Affine):
            self._emit("quantize", name, (source,), encoding=encoding, inv_step=float(_inverse(scale)))
        else:
            thresholds, codes = quantizer.thresholds()
            self._emit("encode", name, (source,), encoding=encoding, thresholds=_ascending(thresholds), codes=codes)

    def _emit_threshold(self, name: str, source: Lazy, quantizer: Quantizer) -> None:
        encoding, _ = quantizer.encoding()
        m, b = source.affine32
        to_index = _index_function(quantizer)

        def index(x: np.ndarray) -> np.ndarray:
            y = x.astype(np.float32) * m[:, None] + b[:, None]
            return to_index(y if source.clamp is None else np.clip(y, *np.float32(source.clamp)))

        direction = np.where(m < 0, -1, 1).astype(np.int8)
        table = thresholds_of(index, direction, 2**encoding.bits, source.bound)
        self._emit("threshold", name, (source.name,), encoding=encoding, codes=_codes(quantizer), thresholds=table, directions=direction)

    def _emit_recode(self, name: str, source: Coded, quantizer: Quantizer) -> None:
        encoding, _ = quantizer.encoding()
        level = np.unique(source.encoding.table())
        index = _index_function(quantizer)(level.astype(np.float32) * source.scale)
        wanted = np.arange(1, 2**encoding.bits)
        first = np.searchsorted(index, wanted)
        thresholds = [int(level[i]) if i < len(level) else int(level[-1]) + 1 for i in first]
        self._emit("recode", name, (source.name,), encoding=encoding, codes=_codes(quantizer), thresholds=thresholds)

    # -- everything else

    def _clamp(self, node: fx.Node, attrs: dict) -> Value:
        value, limits = self.values[node.args[0]], (attrs["lo"], attrs["hi"])
        if isinstance(value, Coded) or value.clamp is not None:
            value = Lazy(self._float(node.args[0]), "f32")
        return Lazy(value.name, value.kind, value.m, value.b, limits, value.bound)

    def _add(self, node: fx.Node, attrs: dict) -> Value:
        left, right = (self._float(n) for n in node.args)
        return Lazy(self._emit("add", node.name, (left, right)), "f32")

    def _identity(self, node: fx.Node, attrs: dict) -> Value:
        return self.values[node.args[0]]

    def _avg_pool(self, node: fx.Node, attrs: dict) -> Value:
        value = self.values[node.args[0]]
        height, width = node.args[0].meta["shape"][2:]
        kernel = attrs["kernel"]
        window = height * width if kernel is None else kernel[0] * kernel[1]
        options = {} if kernel is None else {k: attrs[k] for k in ("kernel", "stride", "padding")}
        channels = node.meta["shape"][1]
        coded = isinstance(value, Coded)
        source = value.name if coded else self._float(node.args[0])
        name = self._emit("sum_pool", node.name, (source,), **options)
        if attrs.get("flatten"):
            name = self._emit("flatten", f"{node.name}.v", (name,))
        factor = (float(value.scale) if coded else 1.0) / window
        bound = int(np.abs(value.encoding.table().astype(int)).max()) * window if coded else 0
        return Lazy(name, "acc" if coded else "f32", np.full(channels, factor), np.zeros(channels), bound=bound)

    def _flatten(self, node: fx.Node, attrs: dict) -> Value:
        value = self.values[node.args[0]]
        shape = node.args[0].meta["shape"]
        if len(shape) == 2:
            return value
        if isinstance(value, Lazy) and shape[2:] == (1, 1):  # channels stay channels: the map can wait
            return Lazy(self._emit("flatten", node.name, (value.name,)), value.kind, value.m, value.b, value.clamp, value.bound)
        return self._carry("flatten", node, {})

    def _max_pool(self, node: fx.Node, attrs: dict) -> Value:
        return self._carry("max_pool", node, attrs)

    def _shift_pad(self, node: fx.Node, attrs: dict) -> Value:
        return self._carry("shift_pad", node, attrs)

    def _carry(self, op: str, node: fx.Node, attrs: dict) -> Value:
        value = self.values[node.args[0]]
        if isinstance(value, Coded):
            return Coded(self._emit(op, node.name, (value.name,), **attrs), value.encoding, value.scale)
        return Lazy(self._emit(op, node.name, (self._float(node.args[0]),), **attrs), "f32")

    def _concat(self, node: fx.Node, attrs: dict) -> Value:
        values = [self.values[n] for n in node.args[0]]
        first = values[0]
        same = all(isinstance(v, Coded) and (v.encoding, v.scale) == (first.encoding, first.scale) for v in values)  # type: ignore[union-attr]
        if same and isinstance(first, Coded):
            return Coded(self._emit("concat", node.name, tuple(v.name for v in values)), first.encoding, first.scale)
        return Lazy(self._emit("concat", node.name, tuple(self._float(n) for n in node.args[0])), "f32")


def _weight_of(layer: nn.Module) -> tuple[Weight | FloatWeight, np.ndarray, int]:
    """Stored weight, one float64 scale per output channel, and the largest sum of |level| over a channel."""
    outputs = layer.weight.shape[0]
    if not parametrize.is_parametrized(layer, "weight"):
        return FloatWeight(layer.weight.detach().numpy()), np.ones(outputs), 0
    slot = layer.parametrizations.weight[0]
    codes, encoding, scale = slot.quantizer.encode(layer.parametrizations.weight.original)
    level = np.abs(levels(codes, encoding).astype(np.int64)).reshape(outputs, -1)
    return Weight(codes, encoding), np.broadcast_to(scale.astype(np.float64), (outputs,)), int(level.sum(1).max())


def _inverse(scale: np.ndarray) -> np.float32:
    return np.float32(1.0 / np.float64(scale[0]))


def _index_function(quantizer: Quantizer):  # type: ignore[no-untyped-def]
    """Real values float32 to index of the sorted level, in the engine's arithmetic."""
    encoding, scale = quantizer.encoding()
    if isinstance(encoding, Affine):
        lo, hi = encoding.limits
        inverse = _inverse(scale)
        return lambda y: np.clip(np.rint(y * inverse), lo, hi).astype(np.int64) - lo
    thresholds, _ = quantizer.thresholds()
    return lambda y: (y[..., None] > thresholds).sum(-1)


def _codes(quantizer: Quantizer) -> list[int]:
    """Code of every sorted level."""
    encoding, _ = quantizer.encoding()
    if isinstance(encoding, Affine):
        lo, hi = encoding.limits
        return [level & (2**encoding.bits - 1) for level in range(lo, hi + 1)]
    return quantizer.thresholds()[1]


def _ascending(thresholds: np.ndarray) -> list[float]:
    """Strictly ascending: equal neighbours (levels that coincide) are moved up by the smallest amount."""
    result: list[float] = []
    for t in thresholds.astype(np.float32):
        if result and t <= np.float32(result[-1]):
            t = np.nextafter(np.float32(result[-1]), np.float32(np.inf))
        result.append(float(t))
    return result

