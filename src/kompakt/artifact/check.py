"""Full verification of a program: types, shapes, uses, and the proof that no integer sum overflows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from .._core.errors import ArtifactError
from ..encoding import Affine, Encoding
from .limits import ACCUMULATOR_LIMIT, MAX_DIMENSION, MAX_ELEMENTS, MAX_NODES
from .ops import ACC, CODE, F32, OPS
from .program import Node, Program, ValueType
from .variants import check_nested, check_widths, weights_of
from .weight import FloatWeight, Weight

Types = Sequence[ValueType]


class TypeCheck:
    """Verifies a program node by node, so that a reader knows each shape before it takes the next node's arrays.

    Args:
        input_shape: (C,) or (C, H, W).
    Raises: ArtifactError (`shape`, `size`).
    """

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        if len(input_shape) not in (1, 3):
            raise ArtifactError(f"input shape must be (C) or (C, H, W), got {input_shape}", "shape")
        self.types = {Program.input_name: ValueType(F32, input_shape)}
        self._used: set[str] = set()
        self._elements = 0
        self._count(input_shape, "input")

    def add(self, node: Node) -> ValueType:
        """Type of the next node. Raises: ArtifactError naming the node."""
        where = f"node {node.name!r}"
        if len(self.types) > MAX_NODES:
            raise ArtifactError(f"a program has at most {MAX_NODES} nodes", "size")
        if node.name in self.types:
            raise ArtifactError(f"{where}: this name is taken; names must be unique", "node")
        inputs = [self.input_type(name, where) for name in node.inputs]
        for name, value in zip(node.inputs, inputs, strict=True):
            if value.kind not in OPS[node.op].takes:
                takes = " or ".join(OPS[node.op].takes)
                raise ArtifactError(f"{where}: {node.op} takes {takes}, but {name!r} is {value.kind}", "node")
        self.types[node.name] = _RULES[node.op](node, inputs, where)
        self._count(self.types[node.name].shape, where)
        self._used.update(node.inputs)
        return self.types[node.name]

    def input_type(self, name: str, where: str) -> ValueType:
        """Type of an earlier value. Raises: ArtifactError (`node`) if there is none of that name."""
        if name not in self.types:
            raise ArtifactError(f"{where}: input {name!r} is no earlier node", "node")
        return self.types[name]

    def finish(self, output: str) -> None:
        """The whole program: every value is used, the output is a node of kind f32. Raises: ArtifactError (`node`)."""
        if output not in self.types or output == Program.input_name:
            raise ArtifactError(f"output {output!r} is no node", "node")
        unused = [name for name in self.types if name not in self._used and name != output]
        if unused:
            raise ArtifactError(f"value {unused[0]!r} is not used by any node; remove it", "node")
        if self.types[output].kind != F32:
            raise ArtifactError(f"output {output!r} must be f32, got {self.types[output].kind}", "node")

    def _count(self, shape: tuple[int, ...], where: str) -> None:
        if max(shape) > MAX_DIMENSION:
            raise ArtifactError(f"{where}: every dimension must be at most {MAX_DIMENSION}, got {shape}", "shape")
        self._elements += math.prod(shape)
        if self._elements > MAX_ELEMENTS:
            raise ArtifactError(f"{where}: all values hold more than {MAX_ELEMENTS} elements per image", "size")


def check(program: Program) -> dict[str, ValueType]:
    """Verify everything that docs/format.md and docs/numerics.md demand of a program.

    Returns: the type of every value by name, the input's included, in execution order.
    Raises: ArtifactError naming the node, with the kind of the defect.
    """
    state = TypeCheck(program.input_shape)
    for node in program.nodes:
        state.add(node)
    state.finish(program.output)
    if program.variants or program.bits:
        _check_variants(program)
    return state.types


def _check_variants(program: Program) -> None:
    check_widths(program.widths)
    weights = weights_of(program.nodes)
    for variant in program.variants:
        if variant.variants or variant.input_shape != program.input_shape:
            raise ArtifactError("a variant has the program's input, and no variants of its own", "shape")
        check(replace(variant, bits=0))
        check_nested(variant.nodes, weights)


def window_shape(
    shape: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> tuple[int, int]:
    """Height and width that a sliding window gives; not positive where the window does not fit."""
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    height, width = ((n + 2 * p - e) // s + 1 for n, p, e, s in zip(shape, padding, extents, stride, strict=True))
    return height, width


def zero_code(encoding: Encoding) -> int | None:
    """The lowest code whose level is 0, or None."""
    found = np.flatnonzero(encoding.table()[0] == 0)
    return int(found[0]) if found.size else None


def max_level(encoding: Encoding) -> int:
    """The largest magnitude of a level."""
    return int(np.abs(encoding.table().astype(np.int64)).max())


def _need_map(value: ValueType, node: Node, where: str) -> tuple[int, int, int]:
    if len(value.shape) != 3:
        raise ArtifactError(f"{where}: {node.op} takes (C, H, W), got {value.shape}", "shape")
    channels, height, width = value.shape
    return channels, height, width


def _need_rows(value: ValueType, rows: int, what: str, where: str) -> None:
    if value.shape[0] != rows:
        raise ArtifactError(f"{where}: {what} has {rows} channels, its input {value.shape[0]}", "shape")


def _code(node: Node, inputs: Types, where: str) -> ValueType:
    return ValueType(CODE, inputs[0].shape, node.attrs["encoding"])


def _threshold(node: Node, inputs: Types, where: str) -> ValueType:
    _need_rows(inputs[0], len(node.attrs["directions"]), "threshold", where)
    return _code(node, inputs, where)


def _requantize(node: Node, inputs: Types, where: str) -> ValueType:
    """Proves, too, that the aligned sum fits int32 in every channel."""
    attrs = node.attrs
    _need_rows(inputs[0], len(attrs["bias"]), "requantize", where)
    if inputs[0].kind != ACC:
        raise ArtifactError(f"{where}: requantize takes acc first, but {node.inputs[0]!r} is {inputs[0].kind}", "node")
    if len(attrs["left"]) != len(inputs):
        raise ArtifactError(f"{where}: left has {len(attrs['left'])} rows for {len(inputs)} inputs", "shape")
    for value in inputs[1:]:
        if value.shape != inputs[0].shape:
            raise ArtifactError(
                f"{where}: inputs must have equal shapes, got {inputs[0].shape}, {value.shape}", "shape"
            )
        if value.encoding is not None and not isinstance(value.encoding, Affine):
            raise ArtifactError(f"{where}: codes that are added must be affine, got {value.encoding}", "encoding")
    left, right = attrs["left"].astype(np.int64), attrs["right"].astype(np.int64)
    bounds = [value.bound if value.encoding is None else max_level(value.encoding) for value in inputs]
    reach = sum(bound << shift for bound, shift in zip(bounds, left, strict=True))
    reach = reach + np.abs(attrs["bias"].astype(np.int64)) + half(right)
    channel = int(np.argmax(reach))
    if reach[channel] >= ACCUMULATOR_LIMIT:
        raise ArtifactError(
            f"{where}: sums of channel {channel} can reach {reach[channel]}, 2^31 or more; shift left by less",
            "overflow_risk",
        )
    return _code(node, inputs, where)


def half(right: np.ndarray) -> np.ndarray:
    """What `requantize` adds before it shifts right, so that the result is rounded: half of the last bit shifted to."""
    return np.asarray((1 << right.astype(np.int64)) >> 1)


def _dequantize(node: Node, inputs: Types, where: str) -> ValueType:
    return ValueType(F32, inputs[0].shape)


def _affine(node: Node, inputs: Types, where: str) -> ValueType:
    _need_rows(inputs[0], len(node.attrs["m"]), "affine", where)
    return ValueType(F32, inputs[0].shape)


def _conv2d(node: Node, inputs: Types, where: str) -> ValueType:
    channels, height, width = _need_map(inputs[0], node, where)
    attrs, groups = node.attrs, node.attrs["groups"]
    outputs, group_inputs, *kernel = attrs["weight"].shape
    if channels % groups or outputs % groups or group_inputs != channels // groups:
        raise ArtifactError(
            f"{where}: weight {attrs['weight'].shape} with groups {groups} does not fit {channels} input channels",
            "shape",
        )
    rows, columns = window_shape((height, width), kernel, attrs["stride"], attrs["padding"], attrs["dilation"])
    _check_window(rows, columns, inputs[0], where)
    return _sums(attrs["weight"], inputs[0], (outputs, rows, columns), where)


def _linear(node: Node, inputs: Types, where: str) -> ValueType:
    weight = node.attrs["weight"]
    if inputs[0].shape != weight.shape[1:]:
        raise ArtifactError(f"{where}: weight {weight.shape} takes ({weight.shape[1]}), got {inputs[0].shape}", "shape")
    return _sums(weight, inputs[0], weight.shape[:1], where)


def _check_window(rows: int, columns: int, value: ValueType, where: str) -> None:
    if rows < 1 or columns < 1:
        raise ArtifactError(f"{where}: the window is larger than its padded input {value.shape}", "shape")


def _sums(weight: Weight | FloatWeight, value: ValueType, shape: tuple[int, ...], where: str) -> ValueType:
    """Type of the product-sums; for integer sums, proves that every output channel fits int32."""
    if value.encoding is None:
        return ValueType(F32, shape)
    if isinstance(weight, FloatWeight):
        raise ArtifactError(f"{where}: a float weight takes f32, but its input is code", "node")
    sums = np.abs(weight.levels()).reshape(len(weight.codes), -1).sum(axis=1, dtype=np.int64)
    channel = int(sums.argmax())
    bound = int(sums[channel]) * max_level(value.encoding)
    if bound >= ACCUMULATOR_LIMIT:
        raise ArtifactError(
            f"{where}: sums of channel {channel} can reach {bound}, 2^31 or more; use fewer bits", "overflow_risk"
        )
    return ValueType(ACC, shape, bound=bound)


def _add(node: Node, inputs: Types, where: str) -> ValueType:
    if inputs[0].shape != inputs[1].shape:
        raise ArtifactError(f"{where}: add takes equal shapes, got {inputs[0].shape} and {inputs[1].shape}", "shape")
    return ValueType(F32, inputs[0].shape)


def _clamp(node: Node, inputs: Types, where: str) -> ValueType:
    return inputs[0]


def _max_pool(node: Node, inputs: Types, where: str) -> ValueType:
    channels, *size = _need_map(inputs[0], node, where)
    attrs = node.attrs
    rows, columns = window_shape(size, attrs["kernel"], attrs["stride"], attrs["padding"], (1, 1))
    _check_window(rows, columns, inputs[0], where)
    return ValueType(inputs[0].kind, (channels, rows, columns), inputs[0].encoding)


def _sum_pool(node: Node, inputs: Types, where: str) -> ValueType:
    channels, *size = _need_map(inputs[0], node, where)
    attrs = node.attrs
    kernel = attrs["kernel"] or tuple(size)
    rows, columns = window_shape(size, kernel, attrs["stride"] or (1, 1), attrs["padding"], (1, 1))
    _check_window(rows, columns, inputs[0], where)
    encoding = inputs[0].encoding
    if encoding is None:
        return ValueType(F32, (channels, rows, columns))
    bound = kernel[0] * kernel[1] * max_level(encoding)
    if bound >= ACCUMULATOR_LIMIT:
        raise ArtifactError(f"{where}: sums can reach {bound}, 2^31 or more; use a smaller window", "overflow_risk")
    return ValueType(ACC, (channels, rows, columns), bound=bound)


def _concat(node: Node, inputs: Types, where: str) -> ValueType:
    first = inputs[0]
    for name, value in zip(node.inputs, inputs, strict=True):
        if value.kind != first.kind:
            raise ArtifactError(f"{where}: concat takes one kind, got {first.kind} and {value.kind} ({name!r})", "node")
        if value.encoding != first.encoding:
            raise ArtifactError(f"{where}: concat takes one encoding, {name!r} has another", "encoding")
        if value.shape[1:] != first.shape[1:]:
            raise ArtifactError(f"{where}: concat takes equal H and W, got {first.shape} and {value.shape}", "shape")
    return ValueType(first.kind, (sum(value.shape[0] for value in inputs), *first.shape[1:]), first.encoding)


def _shift_pad(node: Node, inputs: Types, where: str) -> ValueType:
    channels, height, width = _need_map(inputs[0], node, where)
    stride, added = node.attrs["stride"], node.attrs["before"] + node.attrs["after"]
    encoding = inputs[0].encoding
    if added and encoding is not None and zero_code(encoding) is None:
        raise ArtifactError(f"{where}: channels of level 0 need a code for level 0, the encoding has none", "encoding")
    return ValueType(inputs[0].kind, (channels + added, -(-height // stride), -(-width // stride)), encoding)


def _flatten(node: Node, inputs: Types, where: str) -> ValueType:
    return replace(inputs[0], shape=(math.prod(_need_map(inputs[0], node, where)),))


def _same(node: Node, inputs: Types, where: str) -> ValueType:
    return inputs[0]


def _add_constant(node: Node, inputs: Types, where: str) -> ValueType:
    if node.attrs["value"].shape != inputs[0].shape:
        raise ArtifactError(
            f"{where}: the constant must have the input's shape {inputs[0].shape}, got {node.attrs['value'].shape}",
            "shape",
        )
    return inputs[0]


def _attention(node: Node, inputs: Types, where: str) -> ValueType:
    shape, heads = _need_map(inputs[0], node, where), node.attrs["heads"]
    if any(value.shape != shape for value in inputs):
        shapes = ", ".join(str(value.shape) for value in inputs)
        raise ArtifactError(f"{where}: queries, keys and values must have one shape, got {shapes}", "shape")
    if shape[0] % heads:
        raise ArtifactError(f"{where}: heads must divide the {shape[0]} channels, got {heads}", "shape")
    return inputs[0]


def _embedding(node: Node, inputs: Types, where: str) -> ValueType:
    if node.inputs[0] != Program.input_name or len(inputs[0].shape) != 1:
        raise ArtifactError(f"{where}: embedding reads the program's input, token ids of shape (T)", "node")
    weight, tokens = node.attrs["weight"], inputs[0].shape[0]
    shape = (weight.shape[1], tokens, 1)
    if isinstance(weight, FloatWeight):
        return ValueType(F32, shape)
    if weight.encoding.grains != 1:
        raise ArtifactError(f"{where}: a table of codes has one grain, got {weight.encoding.grains}", "encoding")
    return ValueType(CODE, shape, weight.encoding)


GATES = {"lstm": 4, "gru": 3}


def _recurrent(node: Node, inputs: Types, where: str) -> ValueType:
    rows, *positions = _need_map(inputs[0], node, where)
    weight, encoding = node.attrs["weight"], node.attrs["encoding"]
    if weight.shape[0] != GATES[node.op] * weight.shape[1] or rows != weight.shape[0]:
        raise ArtifactError(
            f"{where}: {node.op} takes ({GATES[node.op]} H, ..) and a weight ({GATES[node.op]} H, H), got {rows} "
            f"channels and {weight.shape}",
            "shape",
        )
    _need_rows(inputs[0], len(node.attrs["m"]), node.op, where)
    state = ValueType(F32 if encoding is None else CODE, (weight.shape[1], *positions), encoding)
    _sums(weight, state, state.shape, where)
    return state


def _reshape(node: Node, inputs: Types, where: str) -> ValueType:
    channels, *positions = inputs[0].shape
    size = node.attrs["size"]
    if math.prod(positions) != math.prod(size):
        raise ArtifactError(
            f"{where}: size {list(size)} must hold the {math.prod(positions)} positions of {inputs[0].shape}", "shape"
        )
    return replace(inputs[0], shape=(channels, *size))


def _gather(node: Node, inputs: Types, where: str) -> ValueType:
    index, is_positions = node.attrs["index"], node.attrs["axis"] == 1
    channels, *positions = _need_map(inputs[0], node, where) if is_positions else inputs[0].shape
    places = math.prod(positions) if is_positions else channels
    if max(index) >= places:
        raise ArtifactError(f"{where}: index must lie in 0..{places - 1}, got {max(index)}", "shape")
    shape = (channels, len(index), 1) if is_positions else (len(index), *positions)
    return ValueType(inputs[0].kind, shape, inputs[0].encoding)


_RULES: dict[str, Callable[[Node, Types, str], ValueType]] = {
    "quantize": _code,
    "encode": _code,
    "recode": _code,
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
    "unary": _same,
    "add_constant": _add_constant,
    "layer_norm": _same,
    "attention": _attention,
    "embedding": _embedding,
    "lstm": _recurrent,
    "gru": _recurrent,
    "reshape": _reshape,
    "gather": _gather,
}
