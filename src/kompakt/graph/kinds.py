"""What a node does, whatever way PyTorch spells it."""

from __future__ import annotations

from torch import fx, nn

from .._core.errors import GraphError
from .kind import Kind, Primitive, Slot, node_label
from .spellings import FUNCTIONS, MODULES


def kind_of(root: nn.Module, node: fx.Node) -> Kind:
    """What `node` does. Raises: GraphError with the node's name and the reason where it is not on the list."""
    try:
        return _kind_of(root, node)
    except (GraphError, TypeError) as error:
        reason = error if isinstance(error, GraphError) else f"arguments are not supported ({error})"
        raise GraphError(f"{node_label(node)}: {reason}") from None


def _kind_of(root: nn.Module, node: fx.Node) -> Kind:
    if node.op == "call_module":
        module = root.get_submodule(str(node.target))
        if isinstance(module, Slot):
            return Kind("slot")
        if isinstance(module, Primitive):
            return module.kind()
        for cls in type(module).__mro__:
            if cls in MODULES:
                return MODULES[cls](module)
        supported = ", ".join(sorted(c.__name__ for c in MODULES))
        raise GraphError(
            f"{type(module).__name__} is not supported; replace it, or compress the model without this part "
            f"(supported: {supported})"
        )
    if node.op in ("call_function", "call_method") and node.target in FUNCTIONS:
        return FUNCTIONS[node.target](*node.args, **node.kwargs)
    if node.op == "get_attr":
        raise GraphError(
            "a tensor of the model used outside a layer is not supported; use a layer such as nn.Linear, "
            "or average the tokens, x.mean(1), instead of a class token"
        )
    supported = ", ".join(sorted({key if isinstance(key, str) else key.__name__ for key in FUNCTIONS}))
    raise GraphError(
        f"this function is not supported; replace it, or compress the model without this part (supported: {supported})"
    )
