"""Integer-exact evaluation: the fake-quantized model and the engine compared code by code, not at their ends alone.

Both mean the same numbers, but float32 rounds a sum of scaled floats. Where a sum lies within that rounding of a
boundary between two levels, either level is right; a code that differs there moves what comes behind it. So the model
is run in float64, every quantizer is shown what the engine made of the same values, and takes the engine's level where
its own value lies at a boundary, and only there. Nothing travels: each code is judged on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from ..artifact import Program, check
from ..deploy import lower_traceably
from ..graph import Graph, Slot

# What float32 may move a value by, as a share of the largest value of its sample at this place: some roundings of the
# operations between integers and codes (terms can be larger than what they add up to), and one per term of float sums.
ROUNDING, ROUNDINGS = 2.0**-24, 8
SAME = 1e-3  # of the distance of two levels: equal but for how a level was multiplied out


@dataclass
class Codes:
    """How many codes of the engine were compared.

    Attributes:
        compared: all. at_boundary: another level than the model's own, where rounding decides. wrong: others.
    """

    compared: int = 0
    at_boundary: int = 0
    wrong: int = 0


class IntegerExact(fx.Interpreter):
    """A quantized network in float64, on the levels that the engine chose where rounding decides.

    Args:
        graph: of the quantized network. It is not changed.
    """

    def __init__(self, graph: Graph) -> None:
        lowered = lower_traceably(graph)
        super().__init__(lowered.graph.module.double())
        self.coded, self.codes = lowered.codes, Codes()
        self.rounding = ROUNDING * (ROUNDINGS + longest_float_sum(lowered.program))
        self.executed: dict[str, np.ndarray] = {}

    @torch.no_grad()
    def outputs(self, inputs: np.ndarray, values: dict[str, np.ndarray]) -> np.ndarray:
        """Outputs for normalised inputs (N, ...), float64; counts in `codes`.

        `values`: all values of the program for the same inputs, by name, as `Engine.values` gives them.
        """
        self.executed = values
        found: Tensor = self.run(torch.from_numpy(inputs).double())
        return found.numpy()

    def run_node(self, n: fx.Node) -> Any:
        if n.name not in self.coded:
            return super().run_node(n)
        layer: Any = self.module.get_submodule(str(n.target))
        x: Tensor = self.fetch_args_kwargs_from_env(n)[0][0]
        coding, codes = self.coded[n.name].coding, self.executed[self.coded[n.name].name]
        executed = torch.from_numpy(_in_torch_layout(coding.values(codes), x.dim())).double()
        if isinstance(layer, Slot):
            return self._settled(layer, coding.step, x, executed)
        slot = layer.state
        layer.state = _Steps(slot, lambda state, i: self._settled(slot, coding.step, state, executed[:, i]))
        try:
            return layer(x)
        finally:
            layer.state = slot

    def _settled(self, slot: Slot, step: float, x: Tensor, executed: Tensor) -> Tensor:
        """The slot's own levels of x, but the engine's where x lies at a boundary between the two; counts."""
        own: Tensor = slot(x)
        differs = ~((own - executed).abs() <= SAME * step)  # NaN differs from everything
        self.codes.compared += x.numel()
        where = differs.flatten(1).any(1)
        if not where.any():
            return own
        x, differs, executed = x[where], differs[where], executed[where]
        reach = self.rounding * x.abs().flatten(1).amax(1).reshape(-1, *[1] * (x.dim() - 1))
        below, above = slot(x - reach) - SAME * step, slot(x + reach) + SAME * step
        at_boundary = differs & (below <= executed) & (executed <= above)
        self.codes.at_boundary += int(at_boundary.sum())
        self.codes.wrong += int((differs & ~at_boundary).sum())
        own[where] = torch.where(at_boundary, executed, own[where])
        return own


def longest_float_sum(program: Program) -> int:
    """Terms of the longest sum that the program computes in floats; 0 where all sums are of integers."""
    types, longest = check(program), 0
    for node in program.nodes:
        read = types[node.inputs[0]]
        if node.op in ("conv2d", "linear") and read.kind == "f32":
            longest = max(longest, prod(node.attrs["weight"].shape[1:]))
        elif node.op in ("lstm", "gru") and node.attrs["encoding"] is None:
            longest = max(longest, node.attrs["weight"].shape[1])
        elif node.op in ("attention", "layer_norm") or (node.op == "sum_pool" and read.kind == "f32"):
            longest = max(longest, read.shape[0], prod(read.shape[1:]))
    return longest


class _Steps(Slot):
    """The slot of a recurrent layer's state, which is called with the first state and then after every step."""

    def __init__(self, slot: Slot, settled: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__()
        self.slot, self.settled, self.calls = slot, settled, 0

    def forward(self, state: Tensor) -> Tensor:
        self.calls += 1
        y: Tensor = self.slot(state) if self.calls == 1 else self.settled(state, self.calls - 2)
        return y


def _in_torch_layout(values: np.ndarray, dims: int) -> np.ndarray:
    """Tokens are (N, T, C) in torch and (N, C, T, 1) in the engine; everything else is laid out alike."""
    return values[..., 0].swapaxes(1, 2) if dims == 3 else values
