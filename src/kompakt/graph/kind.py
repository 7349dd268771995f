"""What a node may be: one word of a closed list with plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Kind:
    """`op` is a word of the engine's list (or `batch_norm`, `slot`, `identity`, `shape`); `attrs` are plain numbers."""

    op: str
    attrs: dict[str, Any] = field(default_factory=dict)


class Slot(nn.Module):
    """Base of modules that rewrites put on an activation edge; a node that calls one has kind `slot`.

    While `calibrating`, a slot is to be fitted to what passes.
    """

    calibrating = False

    def fit(self, x: Tensor) -> None:
        """Set parameters from values."""
        raise NotImplementedError


class Primitive(nn.Module):
    """Base of modules that tracing puts in place of what PyTorch spells in many ways; they know their own kind."""

    def kind(self) -> Kind:
        """What the module does."""
        raise NotImplementedError


def node_label(node: fx.Node) -> str:
    """The user's name of a node: its module path, or the function it calls and the module around it."""
    if node.op == "call_module":
        return str(node.target)
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    owner = node.meta.get("owner", "")
    called = name if node.op == "get_attr" else f"{name}()"
    return f"{owner}: {called}" if owner else called
