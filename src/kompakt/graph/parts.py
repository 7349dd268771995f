"""Networks run node by node, on parts of a batch: values exist of the whole batch, scratch space only of a part.

A calibration batch of large images is gigabytes at every layer, and each elementwise step of a quantizer would make
another copy of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate
from torch.nn.utils import parametrize

from .graph import Graph

PART_BYTES = 1 << 24  # of the largest value in float32: memory that allocators use again in place of giving it back


@dataclass(frozen=True, eq=False)
class Parts:
    """A value of a batch as consecutive parts along axis 0."""

    values: tuple[Any, ...]

    @property
    def whole(self) -> Tensor:
        """The value of the whole batch, (N, ...)."""
        return self.values[0] if len(self.values) == 1 else torch.cat(self.values)


class RunInParts(fx.Interpreter):
    """Runs a graph on a batch; `of` gives its output. What a subclass does to a node's value, it does in `value`."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph.module)
        shapes = [node.meta["shape"] for node in graph.nodes if "shape" in node.meta]
        self.size = max(1, PART_BYTES // (4 * max(prod(shape[1:]) for shape in shapes)))

    def of(self, batch: Tensor) -> Tensor:
        """The output for a batch (N, ...), without gradients."""
        with torch.no_grad():
            found: Parts = self.run(Parts(torch.split(batch, self.size)))
        return found.whole

    def run_node(self, n: fx.Node) -> Any:
        if n.op in ("placeholder", "get_attr", "output"):
            return super().run_node(n)
        return self.value(n, *self.fetch_args_kwargs_from_env(n))

    def value(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The value of a node: `Parts`, or one value where no argument has parts."""
        counts: list[int] = []
        map_aggregate((args, kwargs), lambda v: counts.append(len(v.values)) if isinstance(v, Parts) else None)
        run = getattr(self, node.op)
        if not counts:
            return run(node.target, args, kwargs)
        with parametrize.cached():  # a weight is quantized once, not for every part
            return Parts(tuple(run(node.target, _part(args, i), _part(kwargs, i)) for i in range(counts[0])))


def _part(values: Any, index: int) -> Any:
    return map_aggregate(values, lambda v: v.values[index] if isinstance(v, Parts) else v)


def run_in_parts(graph: Graph, batch: Tensor) -> Tensor:
    """The output of a graph, in the mode that it is in, for a batch (N, ...), without gradients."""
    return RunInParts(graph).of(batch)
