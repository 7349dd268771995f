"""Model to graph. The model that comes in is copied, never changed."""

from __future__ import annotations

import copy
import inspect
import operator
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from .._core.errors import GraphError
from .attention import use_attention
from .composites import open_composites
from .constants import use_constants
from .graph import Graph, first_line
from .kind import Primitive, node_label
from .moves import record_numbers, use_moves
from .spec import check
from .spellings import IN_PLACE

PROBE_SEED = 20_181_002
RELATIVE, ABSOLUTE = 1e-4, 1e-5  # the traced graph repeats the model's own operations: it differs by less than rounding


def trace(model: nn.Module, example: Tensor) -> Graph:
    """Trace a copy of `model`, in evaluation mode, on `example` (N, ...).

    Operations that change their argument in place become ordinary ones. The graph is compared with the model on a
    random input before it is returned.

    Raises: GraphError naming the module, the reason and what to do if the model cannot be traced, does not run on the
        example, or holds an operation that the engine does not know.
    """
    _check_arguments(model, example)
    model, example = _copied(model).eval(), example.detach()
    example = example.float() if example.is_floating_point() else example.long()
    if _Tracer().is_leaf_module(model, ""):
        model = nn.Sequential(model)
    _run(model, example)
    probe = _probe(model, example)
    with torch.no_grad():
        expected = model(probe.clone())
    graph = Graph(_traced(open_composites(model)), example)
    _use_positions(graph.module.graph)
    _leave_arguments_alone(graph)
    record_numbers(graph.refresh())
    use_moves(use_attention(use_constants(graph)))
    check(graph)
    _compare(graph, model, probe, expected)
    return graph


class _Tracer(fx.Tracer):
    """Remembers in which module it is, so that a failure can be named."""

    def __init__(self) -> None:
        super().__init__()
        self.path = [""]

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self.path.append(self.path_of_module(m))
        result = super().call_module(m, forward, args, kwargs)
        self.path.pop()
        return result

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Primitive) or super().is_leaf_module(m, module_qualified_name)

    def iter(self, obj: fx.Proxy) -> Any:
        """Loops over `chunk(n)` have n rounds."""
        node = obj.node
        counts = [*node.args[1:2], node.kwargs.get("chunks")]
        if node.target in ("chunk", torch.chunk) and isinstance(counts[0], int):
            return iter([operator.getitem(obj, i) for i in range(counts[0])])
        return super().iter(obj)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        node.meta["owner"] = self.path[-1]
        return node


def _check_arguments(model: object, example: object) -> None:
    if not isinstance(model, nn.Module):
        raise GraphError(f"expected a torch.nn.Module, got {type(model).__name__}; give the model itself")
    is_tokens = _reads_tokens(model) and isinstance(example, Tensor) and example.dtype in (torch.int32, torch.int64)
    is_legal = is_tokens or (isinstance(example, Tensor) and example.is_floating_point())
    if not isinstance(example, Tensor) or not is_legal or example.dim() < 2 or not example.numel():
        found = f"{example.dtype} {tuple(example.shape)}" if isinstance(example, Tensor) else type(example).__name__
        raise GraphError(f"the example input must be a float tensor (N, ...), N >= 1, got {found}")
    parameters = inspect.signature(model.forward).parameters.values()
    needed = [
        p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) > 1:
        raise GraphError(
            f"{type(model).__name__}.forward takes {len(needed)} inputs ({', '.join(needed)}); only one is "
            "supported, wrap it in a module that makes the others itself"
        )


def _reads_tokens(model: nn.Module) -> bool:
    return any(isinstance(module, nn.Embedding) for module in model.modules())


def _probe(model: nn.Module, example: Tensor) -> Tensor:
    """Random values of the example's shape; token ids are those of the example in another order."""
    generator = torch.Generator().manual_seed(PROBE_SEED)
    if not _reads_tokens(model):
        return torch.randn(example.shape, generator=generator)
    order = torch.randperm(example.numel(), generator=generator)
    return example.flatten()[order].reshape(example.shape)


def _copied(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise GraphError(
            f"{type(model).__name__}: cannot be copied ({first_line(error)}); remove what is no parameter, buffer or "
            "plain setting from its attributes"
        ) from error


def _run(model: nn.Module, example: Tensor) -> None:
    """Run once; an error names the innermost module that did not take its input."""
    path: list[str] = []
    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(partial(_enter, path, name)))
        hooks.append(module.register_forward_hook(partial(_leave, path)))
    try:
        with torch.no_grad():
            result = model(example)
    except Exception as error:
        where = next((name for name in reversed(path) if name), type(model).__name__)
        raise GraphError(
            f"{where}: does not run on an example of shape {tuple(example.shape)}: {first_line(error)}; give "
            "an example of the shape that the model takes"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(result, Tensor):
        raise GraphError(
            f"the model must return one tensor, got {type(result).__name__}; wrap it in one that returns a tensor"
        )


def _enter(path: list[str], name: str, module: nn.Module, arguments: object) -> None:
    path.append(name)


def _leave(path: list[str], module: nn.Module, arguments: object, result: object) -> None:
    path.pop()


def _traced(model: nn.Module) -> fx.GraphModule:
    tracer = _Tracer()
    try:
        return fx.GraphModule(model, tracer.trace(model))
    except Exception as error:
        where = tracer.path[-1] or type(model).__name__
        raise GraphError(
            f"{where}: cannot be traced ({first_line(error)}){_user_line(error)}; remove control flow that depends on "
            "values, or compress the part around it"
        ) from error


def _user_line(error: BaseException) -> str:
    """` at FILE:LINE: code` of the innermost line that is neither PyTorch's nor ours."""
    own = (torch.__path__[0], __file__)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(own)]
    return f" at {frames[-1].filename}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""


def _use_positions(graph: fx.Graph) -> None:
    """Move tensors given by name (`input=x`) to the front, where every rewrite looks for them."""
    for node in graph.nodes:
        named = [key for key in ("input", "tensors", "other") if key in node.kwargs]
        if node.op in ("call_function", "call_method", "call_module") and named:
            node.args = (*node.args, *(node.kwargs[key] for key in named))
            node.kwargs = {key: value for key, value in node.kwargs.items() if key not in named}


def _leave_arguments_alone(graph: Graph) -> None:
    for node in graph.nodes:
        module = graph.submodule(node) if node.op == "call_module" else None
        changes = node.target in IN_PLACE or node.kwargs.get("inplace") or getattr(module, "inplace", False)
        if changes and not node.users:
            raise GraphError(
                f"{node_label(node)}: changes its argument in place and its result is not used; write x = f(x)"
            )
        node.target = IN_PLACE.get(node.target, node.target)
        if "inplace" in node.kwargs:
            node.kwargs = {**node.kwargs, "inplace": False}
        if changes and module is not None:
            module.inplace = False


def _compare(graph: Graph, model: nn.Module, probe: Tensor, expected: Tensor) -> None:
    with torch.no_grad():
        found = graph.module(probe.clone())
    if not _is_close(found, expected) and not _is_same_in_double(graph, model, probe):
        raise GraphError(
            "the traced graph computes something else than the model; the usual reason is an operation in place on a "
            "value that is read again later (relu_, +=): use the ordinary form"
        )


def _is_close(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, RELATIVE, ABSOLUTE, equal_nan=True)


def _is_same_in_double(graph: Graph, model: nn.Module, probe: Tensor) -> bool:
    """Recurrent networks can blow rounding up, step by step, until nothing can be compared in float32."""
    wide = probe.double() if probe.is_floating_point() else probe
    try:
        with torch.no_grad():
            return _is_close(copy.deepcopy(graph.module).double()(wide), copy.deepcopy(model).double()(wide))
    except RuntimeError:  # a model that insists on float32
        return False
