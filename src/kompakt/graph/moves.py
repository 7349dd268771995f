"""Chains of reshapes, permutations and slices, replaced by the few moves of data that the engine knows.

However a model spells a move (`x[:, order]`, `chunk`, `view(..).transpose(..).reshape(..)`), what it does is found by
sending numbered elements through it. Layouts of a value of C channels and P positions, the batch axis left out: (C)
with P = 1, (P, C) for tokens, (C, H, W) with P = H * W.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import Tensor, fx, nn

from .._core.errors import GraphError
from .graph import Graph, operand
from .kind import Kind, Primitive

FUNCTIONS = {
    operator.getitem, torch.flatten, torch.reshape, torch.permute, torch.transpose, torch.swapaxes, torch.unsqueeze,
    torch.squeeze, torch.chunk, torch.split, torch.unbind, torch.index_select, torch.narrow, torch.flip, torch.roll,
    torch.movedim, torch.unflatten,
}  # fmt: skip
METHODS = {
    "flatten", "view", "reshape", "permute", "transpose", "swapaxes", "unsqueeze", "squeeze", "chunk", "split",
    "unbind", "index_select", "narrow", "flip", "roll", "movedim", "unflatten", "contiguous", "select", "tensor_split",
}  # fmt: skip


class Gather(Primitive):
    """Channels (axis 0) or positions (axis 1) of a value, in the order of `index`.

    (N, C) -> (N, n); (N, P, C) -> (N, P, n) or (N, n, C); (N, C, H, W) -> (N, n, H, W) or (N, C, n, 1).
    """

    index: Tensor

    def __init__(self, index: Tensor, axis: int) -> None:
        super().__init__()
        self.register_buffer("index", index, persistent=False)
        self.axis = axis

    def kind(self) -> Kind:
        return Kind("gather", {"index": tuple(self.index.tolist()), "axis": self.axis})

    def forward(self, x: Tensor) -> Tensor:
        if self.axis == 0:
            return x.index_select(2 if x.dim() == 3 else 1, self.index)
        if x.dim() == 3:
            return x.index_select(1, self.index)
        return x.flatten(2).index_select(2, self.index).unsqueeze(3)


class Reshape(Primitive):
    """Other names for the same positions: any layout to (N, P, C) where `size` is None, else to (N, C, *size)."""

    def __init__(self, size: tuple[int, int] | None) -> None:
        super().__init__()
        self.size = size

    def kind(self) -> Kind:
        return Kind("reshape")

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2) if x.dim() == 3 else x.unsqueeze(2) if x.dim() == 2 else x.flatten(2)  # (N, C, P)
        return x.transpose(1, 2) if self.size is None else x.reshape(*x.shape[:2], *self.size)


def is_move(graph: Graph, node: fx.Node) -> bool:
    """Whether a node only moves elements."""
    if node.op == "call_module":
        return isinstance(graph.submodule(node), nn.Flatten | nn.Unflatten)
    is_known = (node.op == "call_function" and node.target in FUNCTIONS) or (
        node.op == "call_method" and node.target in METHODS
    )
    return is_known and bool(node.args) and isinstance(node.args[0], fx.Node) and "number" not in node.meta


def use_moves(graph: Graph) -> None:
    """Replace every chain of moves that the operator table does not know as it stands, where that is possible."""
    record_numbers(graph)
    _use_maps(graph)
    for node in graph.nodes:
        is_end = "shape" in node.meta and not all(is_move(graph, user) for user in node.users)
        if is_move(graph, node) and is_end and not _is_plain(graph, node):
            _replace(graph, node)
    graph.module.graph.eliminate_dead_code()
    graph.refresh()


def _use_maps(graph: Graph) -> None:
    """The mean over tokens (N, T, C) is that over the positions of a map (N, C, T, 1)."""
    for node in graph.nodes:
        shape: tuple[int, ...] = operand(node).meta.get("shape", ()) if node.target in ("mean", torch.mean) else ()
        dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        if len(shape) != 3 or dim not in (1, -2, [1], (1,)) or node.kwargs.get("keepdim"):
            continue
        name = f"{node.name}_map"
        graph.module.add_submodule(name, Reshape((shape[1], 1)))
        with graph.module.graph.inserting_before(node):
            source = graph.module.graph.call_module(name, (operand(node),))
        source.meta.update(owner=node.meta.get("owner", ""), shape=(shape[0], shape[2], shape[1], 1))
        node.args, node.kwargs = (source, (2, 3)), {}


class _NumberRecorder(fx.Interpreter):
    """Notes everything but activations: sizes, indices, constants."""

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.op == "get_attr" or not _holds_tensors(value):
            n.meta["number"] = value
        return value


def _holds_tensors(value: object) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, tuple | list) and any(map(_holds_tensors, value)))


def record_numbers(graph: Graph) -> None:
    """Note the value of every node that is no activation in `node.meta["number"]`."""
    # One sample more than the example: a batch size that is written as a number shows.
    more = torch.cat([graph.example, graph.example[:1]])
    try:
        with torch.no_grad():
            _NumberRecorder(graph.module).run(more)
    except Exception:  # the model does not take another batch size; what follows names the place
        return


def _is_plain(graph: Graph, node: fx.Node) -> bool:
    """Whether every node from here up to the source is on the list of operators, between values without tokens."""
    while is_move(graph, node):
        try:
            graph.kind(node)
        except GraphError:
            return False
        source = operand(node)
        if len(node.all_input_nodes) > 1 or {len(n.meta.get("shape", ())) for n in (node, source)} - {2, 4}:
            return False
        node = source
    return True


def _replace(graph: Graph, end: fx.Node) -> None:
    source = end
    while is_move(graph, source):
        source = operand(source)
    before, after = (tuple(node.meta.get("shape", ()))[1:] for node in (source, end))
    index = _places(graph, source, end)
    steps = None if index is None else _steps(before, after, index)
    if steps is None:
        return
    value = source
    for i, step in enumerate(steps):
        name = f"{end.name}_{type(step).__name__.lower()}{i}"
        graph.module.add_submodule(name, step)
        with graph.module.graph.inserting_before(end):
            value = graph.module.graph.call_module(name, (value,))
        value.meta.update(owner=end.meta.get("owner", ""))
    end.replace_all_uses_with(value, delete_user_cb=lambda user: not is_move(graph, user))


def _places(graph: Graph, source: fx.Node, end: fx.Node) -> Tensor | None:
    """Which element of a sample of `source` every element of a sample of `end` is; None where samples mix."""
    shape = source.meta.get("shape")
    if shape is None:
        return None
    count, size = shape[0] + 1, math.prod(shape[1:])
    numbered = torch.arange(count * size).reshape(count, *shape[1:])
    try:
        found = _run(graph, end, source, numbered)
    except Exception:  # what a chain cannot do to numbers is left for the operator table to judge
        return None
    if found.shape != (count, *end.meta["shape"][1:]):
        return None
    starts = size * torch.arange(count).reshape(-1, *[1] * (found.dim() - 1))
    return found[0] if bool((found[0] + starts == found).all()) and int(found[0].max()) < size else None


def _run(graph: Graph, node: fx.Node, source: fx.Node, numbered: Tensor) -> Any:
    if node is source:
        return numbered
    if "number" in node.meta:
        return node.meta["number"]
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: _run(graph, n, source, numbered))
    if node.op == "call_module":
        return graph.submodule(node)(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    return node.target(*args, **kwargs)


def _steps(before: tuple[int, ...], after: tuple[int, ...], index: Tensor) -> list[nn.Module] | None:
    """Modules that do the move `index` (shaped `after`) of a value shaped `before`; None if it is none of ours."""
    if not before or not 1 <= len(after) <= 3 or len(before) > 3:
        return None
    channels, positions = _split(before, _by_channel(after, index))
    steps: list[nn.Module] = []
    if bool((channels == channels[:, :1]).all() and (positions == positions[:1]).all()):
        order, places = channels[:, 0], positions[0]
        count, total = _extent(before)
        if not torch.equal(order, torch.arange(count)):
            steps.append(Gather(order.clone(), 0))
        is_moved = not torch.equal(places, torch.arange(total))
        if is_moved and len(before) == 1:
            return None
        if is_moved:
            steps.append(Gather(places.clone(), 1))
        return steps + _renamed(before, after, is_moved)
    if len(after) > 1 or len(before) == 1:
        return None
    map_before = before if len(before) == 3 else (before[1], before[0], 1)
    if len(before) == 2:
        steps.append(Reshape((before[0], 1)))
    place = (channels * math.prod(map_before[1:]) + positions)[:, 0]
    is_all = torch.equal(place, torch.arange(math.prod(before)))
    return [*steps, nn.Flatten(1), *([] if is_all else [Gather(place.clone(), 0)])]


def _renamed(before: tuple[int, ...], after: tuple[int, ...], is_moved: bool) -> list[nn.Module]:
    """From the layout that gathers leave to that of the result."""
    if len(after) == 1:
        flat: list[nn.Module] = [nn.Flatten(1)]
        return [] if len(before) == 1 else flat if len(before) == 3 else [Reshape((1, 1)), *flat]
    if len(after) == 2:
        return [] if len(before) == 2 else [Reshape(None)]
    is_same = len(before) == 3 and (after[1:] == before[1:] and not is_moved)
    return [] if is_same else [Reshape((after[1], after[2]))]


def _extent(shape: tuple[int, ...]) -> tuple[int, int]:
    """Channels and positions of a layout."""
    return (shape[1], shape[0]) if len(shape) == 2 else (shape[0], math.prod(shape[1:]))


def _by_channel(shape: tuple[int, ...], x: Tensor) -> Tensor:
    """(C, P) of a value in a layout."""
    return x.T if len(shape) == 2 else x.reshape(shape[0], -1)


def _split(shape: tuple[int, ...], index: Tensor) -> tuple[Tensor, Tensor]:
    """Channels and positions of element numbers."""
    count, total = _extent(shape)
    return (index % count, index // count) if len(shape) == 2 else (index // total, index % total)
