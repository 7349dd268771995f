"""The two tables of what may stand in a model: modules and functions, each with its translation into a kind.

Parameter names of the functions below are those of PyTorch, so that calls by position and by name both work.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from .._core.errors import GraphError
from .kind import Kind


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _conv(m: nn.Conv2d) -> Kind:
    if m.padding_mode != "zeros":
        raise GraphError(f"padding_mode {m.padding_mode!r} is not supported; use 'zeros'")
    if isinstance(m.padding, str):
        total = [d * (k - 1) for d, k in zip(m.dilation, m.kernel_size, strict=True)]
        if m.padding == "same" and any(t % 2 for t in total):
            raise GraphError("padding='same' with an even kernel pads asymmetrically; pad explicitly")
        padding = (total[0] // 2, total[1] // 2) if m.padding == "same" else (0, 0)
    else:
        padding = _pair(m.padding)
    return Kind("conv2d", {"stride": m.stride, "padding": padding, "dilation": m.dilation, "groups": m.groups})


def _batch_norm(m: nn.BatchNorm1d | nn.BatchNorm2d) -> Kind:
    if m.running_mean is None:
        raise GraphError("batch-norm without running statistics is not supported; use track_running_stats=True")
    return Kind("batch_norm")


def _max_pool_module(m: nn.MaxPool2d) -> Kind:
    return _max_pool(None, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices)


def _max_pool(
    input: object, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Kind:  # fmt: skip
    if ceil_mode or return_indices or _pair(dilation) != (1, 1):
        raise GraphError("max-pooling with ceil_mode, return_indices or dilation is not supported; leave them out")
    return Kind("max_pool", _pool_attrs(kernel_size, stride, padding))


def _avg_pool_module(m: nn.AvgPool2d) -> Kind:
    return _avg_pool(None, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override)


def _avg_pool(
    input: object, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Kind:  # fmt: skip
    if _pair(padding) != (0, 0) and not count_include_pad:
        raise GraphError("average pooling that leaves out its padding is not supported; use count_include_pad=True")
    if divisor_override or ceil_mode:
        raise GraphError("average pooling with divisor_override or ceil_mode is not supported; leave them out")
    return Kind("avg_pool", _pool_attrs(kernel_size, stride, padding))


def _pool_attrs(kernel: Any, stride: Any, padding: Any) -> dict[str, Any]:
    return {"kernel": _pair(kernel), "stride": _pair(stride or kernel), "padding": _pair(padding)}


def _adaptive(input: object, output_size: Any) -> Kind:
    if output_size not in (1, (1, 1), [1, 1]):
        raise GraphError(f"adaptive pooling to {output_size} is not supported; only to 1x1")
    return Kind("avg_pool", {"kernel": None})


def _mean(input: object, dim: Any = None, keepdim: bool = False) -> Kind:
    axes = dim if isinstance(dim, Iterable) else (dim,)
    if sorted(d % 4 for d in axes if d is not None) != [2, 3]:
        raise GraphError(
            f"mean over {dim} is not supported; only over height and width together, (2, 3), or tokens (N, T, C), 1"
        )
    return Kind("avg_pool", {"kernel": None, "flatten": not keepdim})


def _flatten(input: object, start_dim: int = 0, end_dim: int = -1) -> Kind:
    if (start_dim, end_dim) != (1, -1):
        raise GraphError(f"flatten({start_dim}, {end_dim}) is not supported; flatten everything but the batch (1)")
    return Kind("flatten")


def _view(input: object, *shape: Any) -> Kind:
    sizes = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    if len(sizes) != 2:
        raise GraphError(f"reshape to {len(sizes)} axes is not supported; only to (batch, everything): x.flatten(1)")
    if isinstance(sizes[0], int) and sizes[0] != -1:
        raise GraphError(f"reshape to {sizes} fixes the batch size; use x.flatten(1)")
    return Kind("flatten")


def _reshape(input: object, shape: Any) -> Kind:
    return _view(input, shape)


def _pad(input: object, pad: Iterable[int], mode: str = "constant", value: float | None = None) -> Kind:
    pad = tuple(pad)
    if mode != "constant" or value or len(pad) != 6 or any(pad[:4]) or min(pad) < 0:
        raise GraphError(f"pad {pad} is not supported; only zero channels, or the padding argument of the layer")
    return Kind("shift_pad", {"stride": 1, "before": pad[4], "after": pad[5]})


def _getitem(input: object, index: Any) -> Kind:
    full = slice(None, None, None)
    spatial = index[2:] if isinstance(index, tuple) and len(index) == 4 and index[:2] == (full, full) else ()
    steps = {s.step or 1 for s in spatial if isinstance(s, slice) and s.start in (None, 0) and s.stop is None}
    if len(spatial) != 2 or len(steps) != 1:
        raise GraphError(f"indexing with {index} is not supported; keep every axis: x[:, 8:], x[:, :, ::2, ::2]")
    return Kind("shift_pad", {"stride": steps.pop(), "before": 0, "after": 0})


def _concat(tensors: object, dim: int = 0) -> Kind:
    if dim not in (1, 2, -1):
        raise GraphError(f"concatenation along axis {dim} is not supported; only along channels (1)")
    return Kind("concat")


def _add(input: object, other: object, *, alpha: float = 1) -> Kind:
    if not (isinstance(input, fx.Node) and isinstance(other, fx.Node)) or alpha != 1:
        raise GraphError("addition of a constant is not supported; only of two activations")
    return Kind("add")


def _clamp(input: object, min: float | None = None, max: float | None = None) -> Kind:
    if not isinstance(min, int | float) or not isinstance(max, int | float | None):
        raise GraphError(f"clamp to [{min}, {max}] is not supported; the lower limit must be a number")
    return Kind("clamp", {"lo": float(min), "hi": math.inf if max is None else float(max)})


def _relu(input: object, inplace: bool = False) -> Kind:
    return _clamp(input, 0.0)


def _relu6(input: object, inplace: bool = False) -> Kind:
    return _clamp(input, 0.0, 6.0)


def _dropout(input: object, p: float = 0.5, training: bool = True, inplace: bool = False) -> Kind:
    if training:
        raise GraphError(
            "dropout that stays on in evaluation is not supported; use nn.Dropout or training=self.training"
        )
    return Kind("identity")


def _unary(function: str) -> Callable[..., Kind]:
    def translate(input: object, inplace: bool = False) -> Kind:
        return Kind("unary", {"function": function})

    return translate


def _gelu(input: object, approximate: str = "none") -> Kind:
    if approximate != "none":
        raise GraphError(f"GELU with approximate={approximate!r} is not supported; use the exact one, 'none'")
    return Kind("unary", {"function": "gelu"})


def _layer_norm(m: nn.LayerNorm) -> Kind:
    if len(m.normalized_shape) != 1:
        raise GraphError(f"layer-norm over {tuple(m.normalized_shape)} is not supported; only over the last axis")
    return Kind("layer_norm", {"eps": m.eps})


def _embedding(m: nn.Embedding) -> Kind:
    if m.max_norm is not None:
        raise GraphError("an embedding with max_norm is not supported; leave it out")
    return Kind("embedding")


def _expand(input: object, *sizes: object) -> Kind:
    raise GraphError("expanding (a class token) is not supported; average the tokens with x.mean(1) instead")


def _identity(input: object) -> Kind:
    return Kind("identity")


def _shape(input: object, which: object = None) -> Kind:
    return Kind("shape")


MODULES: dict[type[nn.Module], Callable[[Any], Kind]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda m: Kind("linear"),
    nn.BatchNorm2d: _batch_norm,
    nn.BatchNorm1d: _batch_norm,
    nn.ReLU: _relu,
    nn.ReLU6: _relu6,
    nn.Hardtanh: lambda m: _clamp(None, m.min_val, m.max_val),
    nn.GELU: lambda m: _gelu(None, m.approximate),
    nn.Hardswish: lambda m: _unary("hardswish")(None),
    nn.Sigmoid: lambda m: _unary("sigmoid")(None),
    nn.SiLU: lambda m: _unary("silu")(None),
    nn.Tanh: lambda m: _unary("tanh")(None),
    nn.LayerNorm: _layer_norm,
    nn.Embedding: _embedding,
    nn.MaxPool2d: _max_pool_module,
    nn.AvgPool2d: _avg_pool_module,
    nn.AdaptiveAvgPool2d: lambda m: _adaptive(None, m.output_size),
    nn.Flatten: lambda m: _flatten(None, m.start_dim, m.end_dim),
    nn.Dropout: _identity,
    nn.Dropout2d: _identity,
    nn.Identity: _identity,
}

FUNCTIONS: dict[Any, Callable[..., Kind]] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), _add),
    **dict.fromkeys((F.relu, torch.relu, "relu", "relu_"), _relu),
    F.relu6: _relu6,
    **dict.fromkeys((torch.clamp, "clamp", "clamp_"), _clamp),
    F.gelu: _gelu,
    F.hardswish: _unary("hardswish"),
    **dict.fromkeys((F.sigmoid, torch.sigmoid, "sigmoid"), _unary("sigmoid")),
    F.silu: _unary("silu"),
    **dict.fromkeys((F.tanh, torch.tanh, "tanh"), _unary("tanh")),
    **dict.fromkeys(("expand", "expand_as"), _expand),
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), _max_pool),
    F.avg_pool2d: _avg_pool,
    F.adaptive_avg_pool2d: _adaptive,
    **dict.fromkeys((torch.flatten, "flatten"), _flatten),
    **dict.fromkeys(("view", "reshape"), _view),
    torch.reshape: _reshape,
    **dict.fromkeys(("mean", torch.mean), _mean),
    **dict.fromkeys((torch.cat, torch.concat), _concat),
    F.pad: _pad,
    operator.getitem: _getitem,
    F.dropout: _dropout,
    **dict.fromkeys(("contiguous", "long", "int"), _identity),
    "size": _shape,
    getattr: _shape,
}

IN_PLACE: dict[Any, Any] = {operator.iadd: operator.add, "add_": "add", "relu_": "relu", "clamp_": "clamp"}
"""Functions that change their argument, with the one of the same value that does not."""
