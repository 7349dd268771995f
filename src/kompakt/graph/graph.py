"""The graph: a `torch.fx` module whose every node has a known kind, a shape and a dtype."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from .._core.errors import GraphError
from .kind import Kind, node_label
from .kinds import kind_of

PRODUCTS = ("conv2d", "linear")
RECURRENT = ("lstm", "gru")
LAYERS = (*PRODUCTS, *RECURRENT, "embedding")


@dataclass(frozen=True)
class Graph:
    """A traced model.

    Attributes:
        module: runs like the model it was traced from, with the same sub-modules.
        example: the example input (1 or more samples), float32, or whole numbers where they are token ids.
    """

    module: fx.GraphModule
    example: Tensor

    @property
    def nodes(self) -> list[fx.Node]:
        """All nodes that compute something, in order."""
        return [node for node in self.module.graph.nodes if node.op not in ("placeholder", "output")]

    @property
    def input(self) -> fx.Node:
        """The node that stands for the model's input."""
        return cast(fx.Node, self.module.graph.find_nodes(op="placeholder")[0])

    @property
    def output(self) -> fx.Node:
        """The node whose value is the model's result."""
        return operand(self.module.graph.find_nodes(op="output")[0])

    def kind(self, node: fx.Node) -> Kind:
        """What the node does, with normalised attributes."""
        return kind_of(self.module, node)

    def submodule(self, node: fx.Node) -> Any:
        """The module that a `call_module` node calls; its type follows from the node's kind."""
        return self.module.get_submodule(str(node.target))

    def layers(self) -> list[fx.Node]:
        """The nodes with weights, in order."""
        return [node for node in self.nodes if self.kind(node).op in LAYERS]

    def products(self) -> list[fx.Node]:
        """The layers that multiply what they read: convolutions and linear layers."""
        return [node for node in self.nodes if self.kind(node).op in PRODUCTS]

    def copy(self) -> Graph:
        """A deep copy: rewrites never change the graph that they are given."""
        return Graph(copy.deepcopy(self.module), self.example)

    def refresh(self) -> Graph:
        """Recompile after a rewrite; record shape and dtype of every node. Raises: GraphError if a node cannot run."""
        self.module.graph.lint()
        self.module.recompile()
        modes = {module: module.training for module in self.module.modules()}
        self.module.eval()
        _ShapeRecorder(self.module).run(self.example)
        set_modes(modes)
        return self


class _ShapeRecorder(fx.Interpreter):
    def run_node(self, n: fx.Node) -> object:
        try:
            with torch.no_grad():
                value = super().run_node(n)
        except Exception as error:
            raise GraphError(f"{node_label(n)}: does not run on the example input ({first_line(error)})") from error
        n.meta.pop("shape", None)
        if isinstance(value, Tensor):
            n.meta["shape"], n.meta["dtype"] = tuple(value.shape), value.dtype
        return value


def operand(node: fx.Node, index: int = 0) -> fx.Node:
    """The node that is the `index`-th argument of `node`."""
    return cast(fx.Node, node.args[index])


def set_modes(modes: dict[nn.Module, bool]) -> None:
    """Put every module back into its own mode: `train()` would set the modules below it, too."""
    for module, is_training in modes.items():
        module.training = is_training


def first_line(error: BaseException) -> str:
    """First line of an error's text, for use inside another message."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
