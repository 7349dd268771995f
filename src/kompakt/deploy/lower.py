"""Quantized graph to integer program, node by node."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, fx

from .._core.errors import GraphError
from ..artifact import Node, Program, Weight, check
from ..graph import Graph, Kind, operand
from ..graph.fold import batch_norm_affine
from ..graph.graph import RECURRENT
from .coding import Coding, coding_of, table_coding
from .hoist import hoist_slots
from .shifts import pending_sum, requantize_attributes
from .thresholds import recode_thresholds, threshold_table
from .values import Coded, Lazy, Sum, Value
from .weights import pointwise, stored_weight

THRESHOLD_BITS = 4  # up to here an activation is encoded by comparing its accumulator with integers
RELU = (0.0, np.inf)


@dataclass(frozen=True, eq=False)
class Lowered:
    """A program, and what it was made of.

    Attributes:
        program: the integer program.
        graph: the quantized graph as it was lowered, with slots moved up, in evaluation mode.
        codes: by name of a node that is a slot, or a recurrent layer with a quantized state: the program's codes of it.
    """

    program: Program
    graph: Graph
    codes: dict[str, Coded]


def lower(graph: Graph) -> Program:
    """The integer program of a graph with quantizers, batch-norm folded into thresholds and epilogues.

    What it computes is defined by docs/numerics.md; it equals the graph in evaluation mode up to float rounding in
    front of each quantizer. The graph is not changed.

    Raises: GraphError if a layer's values are not finite. ArtifactError if an accumulator could overflow.
    """
    return lower_traceably(graph).program


def lower_traceably(graph: Graph) -> Lowered:
    """As `lower`, with where each quantizer's codes are in the program."""
    graph = hoist_slots(graph)
    graph.module.eval()
    lowering = _Lowering(graph)
    program = lowering.program()
    check(program)
    quantized = {node: value for node, value in lowering.values.items() if isinstance(value, Coded)}
    codes = {node.name: value for node, value in quantized.items() if graph.kind(node).op in ("slot", *RECURRENT)}
    return Lowered(program, graph, codes)


def engine_shape(node: fx.Node) -> tuple[int, ...]:
    """Shape of a node's value in the engine: (F), (C, H, W), and (C, T, 1) for tokens (N, T, C)."""
    shape = tuple(node.meta["shape"][1:])
    return (shape[1], shape[0], 1) if len(shape) == 2 else shape


def _exact(value: float) -> float:
    """The nearest float32."""
    return float(np.float32(value))


def _doubles(tensor: Tensor) -> np.ndarray:
    return np.asarray(tensor.detach().double().cpu().numpy())


class _Lowering:
    """One method per kind of node: it gives the node's value, and emits what cannot wait."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.names = {Program.input_name}
        self.values: dict[fx.Node, Value] = {graph.input: Lazy(Program.input_name, "f32")}
        self.floats: dict[Hashable, str] = {}
        self.by_kind: dict[str, Callable[[fx.Node, Kind], Value]] = {
            "conv2d": self._layer, "linear": self._layer, "batch_norm": self._batch_norm, "slot": self._slot,
            "clamp": self._clamp, "add": self._add, "identity": self._identity, "avg_pool": self._avg_pool,
            "unary": self._function, "attention": self._function,
            "embedding": self._embedding, "lstm": self._recurrent, "gru": self._recurrent,
            "layer_norm": self._layer_norm, "add_constant": self._add_constant, "scale_channels": self._scale_channels,
            "flatten": self._flatten, "max_pool": self._carry, "shift_pad": self._carry, "concat": self._concat,
            "gather": self._carry, "reshape": self._reshape,
        }  # fmt: skip

    def program(self) -> Program:
        for node in self.graph.nodes:
            kind = self.graph.kind(node)
            self.values[node] = self.by_kind[kind.op](node, kind)
        output = self._float(self.values[self.graph.output])
        return Program(engine_shape(self.graph.input), tuple(self.nodes), output)

    def _source(self, node: fx.Node) -> Coded | Lazy:
        """The value of a node's first operand; a sum that still waits becomes floats."""
        value = self.values[operand(node)]
        return self._added(value) if isinstance(value, Sum) else value

    def _emit(self, op: str, name: str, inputs: tuple[str, ...], **attrs: Any) -> str:
        """Append a node under `name`, or `name2`, `name3`, .. where that is taken; returns the name."""
        free, count = name, 1
        while free in self.names:
            count += 1
            free = f"{name}{count}"
        self.names.add(free)
        self.nodes.append(Node(op, free, inputs, attrs))
        return free

    # -- floats on demand

    def _float(self, value: Value) -> str:
        """Name of the value in float32."""
        if isinstance(value, Sum):
            return self._float(self._added(value))
        name = value.name
        if isinstance(value, Coded):
            return self._once((name,), "dequantize", f"{name}.f", name, scale=float(value.coding.scale))
        if value.m is not None:
            m, b = value.affine32
            name = self._once((value.name, id(value.m)), "affine", f"{value.name}.y", name, m=m, b=b)
        if value.clamp is not None:
            lo, hi = value.clamp
            limits = {"lo": lo} if np.isinf(hi) else {"lo": lo, "hi": hi}
            name = self._once((value.name, id(value.m), value.clamp), "clamp", f"{value.name}.c", name, **limits)
        return name

    def _once(self, key: Hashable, op: str, name: str, source: str, **attrs: Any) -> str:
        """Emit, unless the same map of the same base value is there already."""
        if key not in self.floats:
            self.floats[key] = self._emit(op, name, (source,), **attrs)
        return self.floats[key]

    def _added(self, value: Sum) -> Lazy:
        """A sum that waited, as floats."""
        key = (id(value.first), id(value.second))
        if key not in self.floats:
            operands = (self._float(value.first), self._float(value.second))
            self.floats[key] = self._emit("add", f"{value.first.name}.s", operands)
        return Lazy(self.floats[key], "f32", clamp=value.clamp)

    def _open(self, value: Value) -> Lazy:
        """The value as one that can take a further map: its float where it is coded or clamped."""
        if isinstance(value, Lazy) and value.clamp is None:
            return value
        return Lazy(self._float(value), "f32")

    # -- layers

    def _layer(self, node: fx.Node, kind: Kind) -> Value:
        stored = stored_weight(self.graph.submodule(node))
        source, name = self._source(node), str(node.target)
        is_tokens = kind.op == "linear" and len(engine_shape(node)) == 3
        op, weight = ("conv2d", pointwise(stored.weight)) if is_tokens else (kind.op, stored.weight)
        if isinstance(source, Coded) and isinstance(weight, Weight):
            name = self._emit(op, name, (source.name,), weight=weight, **kind.attrs)
            bound = source.coding.max_level * stored.reach
            return Lazy(name, "acc", stored.scale * float(source.coding.scale), stored.bias, bound=bound)
        name = self._emit(op, name, (self._float(source),), weight=weight, **kind.attrs)
        return Lazy(name, "f32", stored.scale, stored.bias)

    def _batch_norm(self, node: fx.Node, kind: Kind) -> Value:
        multiplier, offset = batch_norm_affine(self.graph.submodule(node))
        return self._open(self._source(node)).then_affine(multiplier.cpu().numpy(), offset.cpu().numpy())

    # -- activations

    def _clamp(self, node: fx.Node, kind: Kind) -> Value:
        source, lo, hi = self.values[operand(node)], kind.attrs["lo"], kind.attrs["hi"]
        if isinstance(source, Coded):
            source = self._open(source)
        if source.clamp is not None:  # the limits of the first one, moved into those of the second
            first, last = source.clamp
            lo, hi = min(max(first, lo), hi), min(max(last, lo), hi)
        return replace(source, clamp=(lo, hi))

    def _slot(self, node: fx.Node, kind: Kind) -> Value:
        coding = coding_of(self.graph.submodule(node).quantizer)
        source, name = self.values[operand(node)], node.name.removeprefix("slots_")
        if isinstance(source, Coded):
            return Coded(self._recode(name, source, coding), coding)
        shifts = requantize_attributes(source, coding)
        if shifts is not None:
            operands = source.operands if isinstance(source, Sum) else (source,)
            return Coded(self._emit("requantize", name, tuple(value.name for value in operands), **shifts), coding)
        if isinstance(source, Sum):
            source = self._added(source)
        if source.kind == "acc" and coding.encoding.bits <= THRESHOLD_BITS:
            return Coded(self._threshold(name, source, coding), coding)
        if source.clamp == RELU and coding.starts_at_zero:
            source = replace(source, clamp=None)  # levels that start at 0 do what the ReLU does
        op, attrs = coding.node()
        return Coded(self._emit(op, name, (self._float(source),), **attrs), coding)

    def _threshold(self, name: str, source: Lazy, coding: Coding) -> str:
        table, directions = threshold_table(source, coding)
        attrs = {"encoding": coding.encoding, "codes": coding.codes}
        return self._emit("threshold", name, (source.name,), thresholds=table, directions=directions, **attrs)

    def _recode(self, name: str, source: Coded, coding: Coding) -> str:
        thresholds = recode_thresholds(source.coding, coding)
        return self._emit(
            "recode", name, (source.name,), encoding=coding.encoding, codes=coding.codes, thresholds=thresholds
        )

    # -- floats

    def _function(self, node: fx.Node, kind: Kind) -> Value:
        inputs = tuple(self._float(self.values[operand(node, i)]) for i in range(len(node.all_input_nodes)))
        attrs = {key: _exact(value) if isinstance(value, float) else value for key, value in kind.attrs.items()}
        return Lazy(self._emit(kind.op, node.name, inputs, **attrs), "f32")

    def _embedding(self, node: fx.Node, kind: Kind) -> Value:
        stored = stored_weight(self.graph.submodule(node))
        source = self._source(node)
        if source.name != Program.input_name:
            raise GraphError(f"{node.target}: an embedding must read the model's input; nothing may come before it")
        name = self._emit("embedding", str(node.target), (source.name,), weight=stored.weight)
        if not isinstance(stored.weight, Weight):
            return Lazy(name, "f32")
        return Coded(name, table_coding(stored.weight.encoding, stored.scale[0]))

    def _recurrent(self, node: fx.Node, kind: Kind) -> Value:
        layer = self.graph.submodule(node)
        stored = stored_weight(layer)
        coding = None if layer.state is None else coding_of(layer.state.quantizer)
        scale = stored.scale * (1.0 if coding is None else float(coding.scale))
        rows = Lazy(str(node.target), "acc", scale, stored.bias).affine32
        attrs: dict[str, Any] = {"weight": stored.weight, "m": rows[0], "b": rows[1]}
        if coding is not None:
            op, coder = coding.node()
            if op != "quantize":
                raise GraphError(f"{node.target}: a state is quantized on a uniform grid only; use 'lsq' for it")
            attrs.update(coder)
        name = self._emit(kind.op, str(node.target), (self._float(self._source(node)),), **attrs)
        return Lazy(name, "f32") if coding is None else Coded(name, coding)

    def _layer_norm(self, node: fx.Node, kind: Kind) -> Value:
        norm, value = self.graph.submodule(node), self._function(node, kind)
        if norm.weight is None:
            return value
        gain = _doubles(norm.weight)
        return self._open(value).then_affine(gain, np.zeros_like(gain) if norm.bias is None else _doubles(norm.bias))

    def _add_constant(self, node: fx.Node, kind: Kind) -> Value:
        value = self.graph.submodule(node).value.detach().float().cpu().numpy().reshape(operand(node).meta["shape"][1:])
        stored = np.ascontiguousarray(value.T[:, :, None] if value.ndim == 2 else value)
        return Lazy(self._emit("add_constant", node.name, (self._float(self._source(node)),), value=stored), "f32")

    def _scale_channels(self, node: fx.Node, kind: Kind) -> Value:
        factor = _doubles(self.graph.submodule(node).value).reshape(-1)
        return self._open(self._source(node)).then_affine(factor, np.zeros_like(factor))

    # -- everything else

    def _identity(self, node: fx.Node, kind: Kind) -> Value:
        return self._source(node)

    def _add(self, node: fx.Node, kind: Kind) -> Value:
        operands = self.values[operand(node, 0)], self.values[operand(node, 1)]
        waiting = pending_sum(*operands)
        if waiting is not None:
            return waiting
        left, right = (self._float(value) for value in operands)
        return Lazy(self._emit("add", node.name, (left, right)), "f32")

    def _avg_pool(self, node: fx.Node, kind: Kind) -> Value:
        value, kernel = self._source(node), kind.attrs["kernel"]
        options = {} if kernel is None else {key: kind.attrs[key] for key in ("kernel", "stride", "padding")}
        channels, *size = engine_shape(operand(node))
        window = int(np.prod(size if kernel is None else kernel))
        is_coded = isinstance(value, Coded)
        name = self._emit("sum_pool", node.name, (value.name if is_coded else self._float(value),), **options)
        if kind.attrs.get("flatten"):
            name = self._emit("flatten", f"{node.name}.v", (name,))
        if not isinstance(value, Coded):
            return Lazy(name, "f32", np.full(channels, 1 / window), np.zeros(channels))
        factor = np.full(channels, float(value.coding.scale) / window)
        return Lazy(name, "acc", factor, np.zeros(channels), bound=value.coding.max_level * window)

    def _flatten(self, node: fx.Node, kind: Kind) -> Value:
        value, shape = self._source(node), operand(node).meta["shape"]
        if len(shape) == 2:
            return value
        if isinstance(value, Lazy) and shape[2:] == (1, 1):  # channels stay channels: the map can wait
            return replace(value, name=self._emit("flatten", node.name, (value.name,)))
        return self._carry(node, kind)

    def _carry(self, node: fx.Node, kind: Kind) -> Value:
        value = self._source(node)
        if isinstance(value, Coded):
            return Coded(self._emit(kind.op, node.name, (value.name,), **kind.attrs), value.coding)
        return Lazy(self._emit(kind.op, node.name, (self._float(value),), **kind.attrs), "f32")

    def _reshape(self, node: fx.Node, kind: Kind) -> Value:
        """(N, P, C) and (N, C, P, 1) are one shape in the engine."""
        value, shape = self._source(node), engine_shape(node)
        if engine_shape(operand(node)) == shape:
            return value
        name = value.name if isinstance(value, Coded) or value.clamp is None else self._float(value)
        done = self._emit("reshape", node.name, (name,), size=shape[1:])
        return replace(value, name=done) if name == value.name else Lazy(done, "f32")

    def _concat(self, node: fx.Node, kind: Kind) -> Value:
        values = [self.values[n] for n in node.args[0]]  # type: ignore[union-attr, index]
        if len(values) == 1:
            return values[0]
        coded = [value for value in values if isinstance(value, Coded)]
        if len(coded) == len(values) and all(value.coding.is_like(coded[0].coding) for value in coded):
            return Coded(self._emit("concat", node.name, tuple(value.name for value in coded)), coded[0].coding)
        return Lazy(self._emit("concat", node.name, tuple(self._float(value) for value in values)), "f32")
