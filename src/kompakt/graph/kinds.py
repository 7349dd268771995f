"""The closed list of what a node may do, whatever way PyTorch spells it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import fx, nn

from .._core.errors import GraphError


@dataclass(frozen=True)
class Kind:
    """`op` is a word of the engine's list (or `batch_norm`, `slot`, `identity`); `attrs` are plain numbers."""

    op: str
    attrs: dict = field(default_factory=dict)


def _pair(value: int | tuple[int, ...] | list[int]) -> tuple[int, int]:
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


def _pool(m: nn.MaxPool2d | nn.AvgPool2d) -> dict:
    if m.ceil_mode or getattr(m, "return_indices", False) or _pair(getattr(m, "dilation", 1)) != (1, 1):
        raise GraphError("pooling with ceil_mode, indices or dilation is not supported")
    return _pool_attrs(m.kernel_size, m.stride, m.padding)


def _pool_attrs(kernel, stride=None, padding=0) -> dict:
    return {"kernel": _pair(kernel), "stride": _pair(stride or kernel), "padding": _pair(padding)}


def _average(m: nn.AvgPool2d) -> Kind:
    if _pair(m.padding) != (0, 0) and not m.count_include_pad:
        raise GraphError("average pooling that leaves out its padding is not supported; use count_include_pad=True")
    if m.divisor_override:
        raise GraphError("average pooling with divisor_override is not supported")
    return Kind("avg_pool", _pool(m))


def _adaptive(size: object) -> Kind:
    if size not in (1, (1, 1), [1, 1]):
        raise GraphError(f"adaptive pooling to {size} is not supported; only to 1x1")
    return Kind("avg_pool", {"kernel": None})


MODULES: dict[type[nn.Module], Callable[[nn.Module], Kind]] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda m: Kind("linear"),
    nn.BatchNorm2d: lambda m: Kind("batch_norm"),
    nn.BatchNorm1d: lambda m: Kind("batch_norm"),
    nn.ReLU: lambda m: Kind("clamp", {"lo": 0.0, "hi": math.inf}),
    nn.ReLU6: lambda m: Kind("clamp", {"lo": 0.0, "hi": 6.0}),
    nn.Hardtanh: lambda m: Kind("clamp", {"lo": float(m.min_val), "hi": float(m.max_val)}),
    nn.MaxPool2d: lambda m: Kind("max_pool", _pool(m)),
    nn.AvgPool2d: _average,
    nn.AdaptiveAvgPool2d: lambda m: _adaptive(m.output_size),
    nn.Flatten: lambda m: _flatten(m.start_dim, m.end_dim),
    nn.Dropout: lambda m: Kind("identity"),
    nn.Dropout2d: lambda m: Kind("identity"),
    nn.Identity: lambda m: Kind("identity"),
}


def _flatten(start: int = 0, end: int = -1) -> Kind:
    if (start, end) != (1, -1):
        raise GraphError(f"flatten from {start} to {end} is not supported; flatten everything but the batch (1, -1)")
    return Kind("flatten")


def _view(x: object, *shape: object) -> Kind:
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    if len(sizes) == 2 and (sizes[1] == -1 or isinstance(sizes[1], int)):
        return Kind("flatten")
    raise GraphError(f"reshape to {tuple(sizes)} is not supported; only (batch, everything)")


def _mean(x: object, dim: object = None, keepdim: bool = False) -> Kind:
    if sorted(d % 4 for d in dim or ()) != [2, 3]:
        raise GraphError(f"mean over {dim} is not supported; only over height and width")
    return Kind("avg_pool", {"kernel": None, "flatten": not keepdim})


def _pad(x: object, pad: object, mode: str = "constant", value: float | None = None) -> Kind:
    pad = tuple(pad)
    if mode != "constant" or value or len(pad) != 6 or any(pad[:4]):
        raise GraphError(f"pad {pad} is not supported; only zero channels, or the padding argument of the layer")
    return Kind("shift_pad", {"stride": 1, "before": pad[4], "after": pad[5]})


def _getitem(x: object, index: object) -> Kind:
    full = slice(None, None, None)
    spatial = index[2:] if isinstance(index, tuple) and len(index) == 4 and index[:2] == (full, full) else ()
    steps = {s.step or 1 for s in spatial if isinstance(s, slice) and s.start in (None, 0) and s.stop is None}
    if len(spatial) != 2 or len(steps) != 1:
        raise GraphError(f"indexing with {index} is not supported; only x[:, :, ::s, ::s]")
    return Kind("shift_pad", {"stride": steps.pop(), "before": 0, "after": 0})


def _concat(tensors: object, dim: int = 0) -> Kind:
    if dim != 1:
        raise GraphError(f"concatenation along axis {dim} is not supported; only along channels (1)")
    return Kind("concat")


def _add(a: object, b: object, *, alpha: float = 1) -> Kind:
    if not (isinstance(a, fx.Node) and isinstance(b, fx.Node)) or alpha != 1:
        raise GraphError("addition of a constant is not supported; only of two activations")
    return Kind("add")


FUNCTIONS: dict[object, Callable[..., Kind]] = {
    operator.add: _add, operator.iadd: _add, torch.add: _add, "add": _add, "add_": _add,
    F.relu: lambda x, inplace=False: Kind("clamp", {"lo": 0.0, "hi": math.inf}),
    torch.relu: lambda x: Kind("clamp", {"lo": 0.0, "hi": math.inf}),
    "relu": lambda x: Kind("clamp", {"lo": 0.0, "hi": math.inf}),
    "relu_": lambda x: Kind("clamp", {"lo": 0.0, "hi": math.inf}),
    F.relu6: lambda x, inplace=False: Kind("clamp", {"lo": 0.0, "hi": 6.0}),
    F.max_pool2d: lambda x, kernel_size, stride=None, padding=0: Kind("max_pool", _pool_attrs(kernel_size, stride, padding)),
    F.avg_pool2d: lambda x, kernel_size, stride=None, padding=0: _average(nn.AvgPool2d(kernel_size, stride, padding)),
    F.adaptive_avg_pool2d: lambda x, output_size: _adaptive(output_size),
    torch.flatten: lambda x, start_dim=0, end_dim=-1: _flatten(start_dim, end_dim),
    "flatten": lambda x, start_dim=0, end_dim=-1: _flatten(start_dim, end_dim),
    "view": _view, "reshape": _view, torch.reshape: _view,
    "mean": _mean, torch.mean: _mean,
    torch.cat: _concat, torch.concat: _concat,
    F.pad: _pad,
    operator.getitem: _getitem,
    F.dropout: lambda x, *a, **k: Kind("identity"),
    "contiguous": lambda x: Kind("identity"),
    "size": lambda x, dim=None: Kind("shape"), getattr: lambda x, name: Kind("shape"),
}  # fmt: skip


def kind_of(root: nn.Module, node: fx.Node) -> Kind:
    """What `node` does. Raises: GraphError with the node's name and the reason where it is not on the list."""
    try:
        return _kind_of(root, node)
    except (GraphError, TypeError) as error:
        raise GraphError(f"{node_label(node)}: {error}") from None


def node_label(node: fx.Node) -> str:
    """The user's name of a node: its module path, or the function it calls and the module around it."""
    if node.op == "call_module":
        return str(node.target)
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    owner = node.meta.get("owner", "")
    return f"{owner}: {name}()" if owner else f"{name}()"


def _kind_of(root: nn.Module, node: fx.Node) -> Kind:
    if node.op == "call_module":
        module = root.get_submodule(str(node.target))
        if hasattr(module, "calibrating"):
            return Kind("slot")
        for cls in type(module).__mro__:
            if cls in MODULES:
                return MODULES[cls](module)
        supported = ", ".join(sorted(c.__name__ for c in MODULES))
        raise GraphError(f"{type(module).__name__} is not supported (supported: {supported})")
    if node.op in ("call_function", "call_method") and node.target in FUNCTIONS:
        return FUNCTIONS[node.target](*node.args, **node.kwargs)
    raise GraphError(f"{node.op} {node.target} is not supported by the engine")
