"""The table of operators: what each takes, its attributes, their types and defaults. One entry per operator.

Node construction, the file reader, the file writer and the type check all draw from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .._core.errors import ArtifactError
from . import attributes as parse
from .attributes import REQUIRED, Field

Attributes = dict[str, Any]
F32, ACC, CODE = "f32", "acc", "code"
MAX_CONCAT = 1024


@dataclass(frozen=True)
class Op:
    """One operator.

    Args:
        takes: kinds of value that it accepts.
        fields: attributes, in the order in which they are checked.
        arity: least and greatest number of inputs.
        relate: checks and completes attributes that depend on each other; changes the dict in place.
    """

    takes: tuple[str, ...]
    fields: tuple[Field, ...] = ()
    arity: tuple[int, int] = (1, 1)
    relate: Callable[[Attributes, str], None] | None = None


def _relate_choice(attrs: Attributes, where: str) -> None:
    """`encode`, `recode`: thresholds and codes must fit the encoding's bits."""
    _relate_codes(attrs, where)
    found, expected = len(attrs["thresholds"]), (1 << attrs["encoding"].bits) - 1
    if found != expected:
        raise ArtifactError(
            f"{where}: {attrs['encoding'].bits} bits need {expected} thresholds, got {found}", "encoding"
        )


def _relate_codes(attrs: Attributes, where: str) -> None:
    count = 1 << attrs["encoding"].bits
    if attrs["codes"] is None:
        attrs["codes"] = tuple(range(count))
    if sorted(attrs["codes"]) != list(range(count)):
        raise ArtifactError(f"{where}: codes must be a permutation of 0..{count - 1}, got {attrs['codes']}", "value")


def _relate_encode(attrs: Attributes, where: str) -> None:
    _relate_choice(attrs, where)
    steps = attrs["thresholds"]
    if any(a >= b for a, b in pairwise(steps)):
        raise ArtifactError(f"{where}: thresholds must be strictly ascending, got {steps}", "value")


def _relate_recode(attrs: Attributes, where: str) -> None:
    _relate_choice(attrs, where)
    steps = attrs["thresholds"]
    if any(a > b for a, b in pairwise(steps)):
        raise ArtifactError(f"{where}: thresholds must not descend, got {steps}", "value")


def _relate_threshold(attrs: Attributes, where: str) -> None:
    _relate_codes(attrs, where)
    table, directions = attrs["thresholds"], attrs["directions"]
    expected = (len(directions), (1 << attrs["encoding"].bits) - 1)
    if table.shape != expected:
        raise ArtifactError(f"{where}: thresholds must have shape {expected}, got {table.shape}", "shape")
    for c, (row, direction) in enumerate(zip(table.tolist(), directions.tolist(), strict=True)):
        if direction not in (1, -1):
            raise ArtifactError(f"{where}: directions must be +1 or -1, got {direction} in channel {c}", "value")
        if any((a - b) * direction > 0 for a, b in pairwise(row)):
            verb = "descend" if direction == 1 else "ascend"
            raise ArtifactError(f"{where}: thresholds of channel {c} must not {verb} (direction {direction})", "value")


def _relate_requantize(attrs: Attributes, where: str) -> None:
    rows, left = len(attrs["bias"]), attrs["left"].shape
    if left[1] != rows or len(attrs["right"]) != rows:
        found = f"{rows}, {left[1]} and {len(attrs['right'])}"
        raise ArtifactError(f"{where}: bias, left and right must have one entry per channel, got {found}", "shape")
    low, high = attrs["encoding"].limits
    if attrs["top"] is None:
        attrs["top"] = high
    if not low < attrs["top"] <= high:
        raise ArtifactError(f"{where}: top must lie in {low + 1}..{high}, got {attrs['top']}", "value")


def _relate_affine(attrs: Attributes, where: str) -> None:
    if attrs["m"].shape != attrs["b"].shape:
        raise ArtifactError(
            f"{where}: m and b must have one shape, got {attrs['m'].shape}, {attrs['b'].shape}", "shape"
        )


def _relate_clamp(attrs: Attributes, where: str) -> None:
    if attrs["hi"] is not None and attrs["lo"] > attrs["hi"]:
        raise ArtifactError(f"{where}: lo must not exceed hi, got {attrs['lo']} and {attrs['hi']}", "value")


def _relate_pool(attrs: Attributes, where: str) -> None:
    kernel, stride, padding = attrs["kernel"], attrs["stride"], attrs["padding"]
    if kernel is None:
        if stride is not None or padding != (0, 0):
            raise ArtifactError(f"{where}: a pool over the whole map has neither stride nor padding", "node")
        return
    attrs["stride"] = kernel if stride is None else stride
    if padding[0] >= kernel[0] or padding[1] >= kernel[1]:
        raise ArtifactError(f"{where}: padding must be below kernel, got {padding} and {kernel}", "shape")


def _relate_recurrent(attrs: Attributes, where: str) -> None:
    _relate_affine(attrs, where)
    if (attrs["encoding"] is None) != (attrs["inv_step"] is None):
        raise ArtifactError(f"{where}: a state has both encoding and inv_step, or none of them", "node")


_CODES = Field("codes", parse.codes, None)
_STRIDE = Field("stride", parse.positive_pair, (1, 1))
_PADDING = Field("padding", parse.padding_pair, (0, 0))
_POOL_STRIDE = Field("stride", parse.positive_pair, None)

_RECURRENT = Op(
    (F32,),
    (
        Field("weight", parse.weight_2d),
        Field("m", parse.float_row),
        Field("b", parse.float_row),
        Field("encoding", parse.affine_encoding, None),
        Field("inv_step", parse.positive_float, None),
    ),
    relate=_relate_recurrent,
)

OPS: Mapping[str, Op] = {
    "quantize": Op((F32,), (Field("encoding", parse.affine_encoding), Field("inv_step", parse.positive_float))),
    "encode": Op(
        (F32,),
        (Field("encoding", parse.activation_encoding), Field("thresholds", parse.floats), _CODES),
        relate=_relate_encode,
    ),
    "recode": Op(
        (CODE,),
        (Field("encoding", parse.activation_encoding), Field("thresholds", parse.ints), _CODES),
        relate=_relate_recode,
    ),
    "threshold": Op(
        (ACC,),
        (
            Field("encoding", parse.activation_encoding),
            Field("thresholds", parse.int32_table),
            Field("directions", parse.int8_row),
            _CODES,
        ),
        relate=_relate_threshold,
    ),
    "requantize": Op(
        (ACC, CODE),
        (
            Field("encoding", parse.affine_encoding),
            Field("bias", parse.int32_row),
            Field("left", parse.shift_table),
            Field("right", parse.shift_row),
            Field("top", parse.integer, None),
        ),
        arity=(1, 2),
        relate=_relate_requantize,
    ),
    "dequantize": Op((CODE,), (Field("scale", parse.positive_float),)),
    "conv2d": Op(
        (CODE, F32),
        (
            Field("weight", parse.weight_4d),
            _STRIDE,
            _PADDING,
            Field("dilation", parse.positive_pair, (1, 1)),
            Field("groups", parse.positive_int, 1),
        ),
    ),
    "linear": Op((CODE, F32), (Field("weight", parse.weight_2d),)),
    "affine": Op((ACC, F32), (Field("m", parse.float_row), Field("b", parse.float_row)), relate=_relate_affine),
    "add": Op((F32,), arity=(2, 2)),
    "clamp": Op(
        (F32,),
        (Field("lo", parse.finite_float, 0.0), Field("hi", parse.optional_float, None)),
        relate=_relate_clamp,
    ),
    "max_pool": Op((CODE, F32), (Field("kernel", parse.positive_pair), _POOL_STRIDE, _PADDING), relate=_relate_pool),
    "sum_pool": Op(
        (CODE, F32), (Field("kernel", parse.positive_pair, None), _POOL_STRIDE, _PADDING), relate=_relate_pool
    ),
    "concat": Op((CODE, F32), arity=(2, MAX_CONCAT)),
    "shift_pad": Op(
        (CODE, F32),
        (
            Field("stride", parse.window_int, 1),
            Field("before", parse.channel_count, 0),
            Field("after", parse.channel_count, 0),
        ),
    ),
    "flatten": Op((F32, ACC, CODE)),
    "unary": Op((F32,), (Field("function", parse.unary_function),)),
    "add_constant": Op((F32,), (Field("value", parse.float_map),)),
    "layer_norm": Op((F32,), (Field("eps", parse.positive_float),)),
    "attention": Op((F32,), (Field("heads", parse.positive_int), Field("scale", parse.positive_float)), arity=(3, 3)),
    "embedding": Op((F32,), (Field("weight", parse.weight_2d),)),
    "lstm": _RECURRENT,
    "gru": _RECURRENT,
    "reshape": Op((F32, ACC, CODE), (Field("size", parse.size_pair),)),
    "gather": Op((CODE, F32), (Field("index", parse.indices), Field("axis", parse.gather_axis, 0))),
}


def complete(op: str, attrs: Mapping[str, Any], where: str) -> Attributes:
    """All attributes of a node in canonical types, defaults filled in.

    Raises: ArtifactError: `node` for unknown operators, missing, unknown or mistyped attributes; else as documented
        in docs/format.md, section "Refusals".
    """
    unknown = set(attrs) - {field.name for field in OPS[op].fields}
    if unknown:
        raise ArtifactError(f"{where}: {op} has no attribute {sorted(unknown)[0]!r}", "node")
    done: Attributes = {}
    for field in OPS[op].fields:
        value = attrs.get(field.name, field.default)
        if value is REQUIRED:
            raise ArtifactError(f"{where}: {op} needs the attribute {field.name!r}", "node")
        is_absent = value is None and field.default is None
        done[field.name] = None if is_absent else field.parse(value, f"{where}: {field.name}")
    relate = OPS[op].relate
    if relate is not None:
        relate(done, where)
    return done
