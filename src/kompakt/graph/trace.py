"""Model to graph."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from .._core.errors import GraphError
from .graph import Graph, first_line
from .spec import check


class _Tracer(fx.Tracer):
    """Remembers in which module it is, so that a failure can be named."""

    def __init__(self) -> None:
        super().__init__()
        self.path = [""]

    def call_module(self, m: nn.Module, forward, args, kwargs):  # type: ignore[no-untyped-def]
        self.path.append(self.path_of_module(m))
        result = super().call_module(m, forward, args, kwargs)
        self.path.pop()
        return result

    def create_node(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        node = super().create_node(*args, **kwargs)
        node.meta["owner"] = self.path[-1]
        return node


def trace(model: nn.Module, example: Tensor) -> Graph:
    """Trace `model` on `example` (N, ...); the graph calls the model's own sub-modules.

    Raises: GraphError naming the module and the reason if the model cannot be traced, does not run on the example, or
        holds an operation that the engine does not know.
    """
    if not isinstance(model, nn.Module):
        raise GraphError(f"expected a torch.nn.Module, got {type(model).__name__}")
    if not isinstance(example, Tensor) or not example.is_floating_point() or example.dim() < 2:
        raise GraphError(f"the example input must be a float tensor (N, ...), got {_describe(example)}")
    model = model.eval()
    _run(model, example)
    tracer = _Tracer()
    try:
        traced = tracer.trace(model)
    except Exception as error:
        where = tracer.path[-1] or type(model).__name__
        raise GraphError(
            f"{where}: cannot be traced ({first_line(error)}); remove control flow that depends on values, "
            "or compress the part around it"
        ) from error
    graph = Graph(fx.GraphModule(model, traced), example.detach().float())
    _drop_dead_shapes(graph.module)
    check(graph.refresh())
    return graph


def _run(model: nn.Module, example: Tensor) -> None:
    try:
        with torch.no_grad():
            result = model(example)
    except Exception as error:
        raise GraphError(f"the model does not run on an example of shape {tuple(example.shape)}: {first_line(error)}") from error
    if not isinstance(result, Tensor):
        raise GraphError(f"the model must return one tensor, got {type(result).__name__}")


def _drop_dead_shapes(module: fx.GraphModule) -> None:
    """`x.view(x.size(0), -1)`: the flatten keeps the batch by itself, so the size nodes go."""
    for node in module.graph.nodes:
        if node.op == "call_method" and node.target in ("view", "reshape") and any(isinstance(a, fx.Node) for a in node.args[1:]):
            node.op, node.target, node.args, node.kwargs = "call_function", torch.flatten, (node.args[0], 1), {}
    module.graph.eliminate_dead_code()
    module.recompile()


def _describe(value: object) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
