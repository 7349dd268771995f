"""Recurrent layers as two parts per layer: a linear layer over all steps, and the recurrence, which owns the state."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._core.errors import GraphError
from .kind import Kind, Primitive, Slot

GATES = {"lstm": 4, "gru": 3}


class Recurrence(Primitive):
    """The recurrent half of an LSTM or GRU layer; gate order and equations are PyTorch's.

    Args:
        op: "lstm" or "gru".
        weight: (gates * H, H), of the state. bias: (gates * H,), added to that product, or None.

    The state is zero before the first step. `quantize` puts a slot on it: what enters the product, and what the layer
    gives, is quantized; the LSTM's cell and the GRU's blend of old and new state stay float.
    """

    def __init__(self, op: str, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.op, self.weight = op, weight
        self.bias: nn.Parameter | None = bias
        self.state: Slot | None = None

    def kind(self) -> Kind:
        return Kind(self.op)

    def quantize(self, slot: Slot) -> None:
        """Let the state pass through this slot at every step."""
        self.state = slot

    def forward(self, gates: Tensor) -> Tensor:
        """Input halves of the gates (N, T, gates * H) to states (N, T, H)."""
        if self.state is None:
            return self._unroll(gates, lambda state: state)
        if self.state.calibrating:
            self.state.fit(self._unroll(gates, lambda state: state))
            self.state.calibrating = False
        return self._unroll(gates, self.state)

    def _unroll(self, gates: Tensor, quantize: Callable[[Tensor], Tensor]) -> Tensor:
        weight = self.weight  # once: with a quantizer on it, every access computes it
        state = cell = gates.new_zeros(gates.shape[0], weight.shape[1])
        shown, states = quantize(state), []
        for step in gates.unbind(1):
            hidden = F.linear(shown, weight, self.bias)
            if self.op == "lstm":
                i, f, g, o = (step + hidden).chunk(4, 1)
                cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
                state = torch.sigmoid(o) * torch.tanh(cell)
            else:
                (ir, iz, new), (hr, hz, hn) = step.chunk(3, 1), hidden.chunk(3, 1)
                new = torch.tanh(new + torch.sigmoid(ir + hr) * hn)
                update = torch.sigmoid(iz + hz)
                state = (1 - update) * new + update * state
            shown = quantize(state)
            states.append(shown)
        return torch.stack(states, 1)


class RecurrentLayers(nn.Module):
    """`nn.LSTM` or `nn.GRU`: `ih_l0`, `hh_l0`, `ih_l1`, ..; dropout between layers is off, as in evaluation."""

    def __init__(self, source: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        if not source.batch_first or source.bidirectional or source.proj_size:
            raise GraphError(
                f"{type(source).__name__} is supported with batch_first=True, in one direction, without proj_size"
            )
        op, self.depth = type(source).__name__.lower(), source.num_layers
        for layer in range(self.depth):
            weight, recurrent = getattr(source, f"weight_ih_l{layer}"), getattr(source, f"weight_hh_l{layer}")
            linear = nn.Linear(weight.shape[1], weight.shape[0], bias=source.bias)
            linear.weight = weight
            if source.bias:
                linear.bias = getattr(source, f"bias_ih_l{layer}")
            bias = getattr(source, f"bias_hh_l{layer}") if source.bias else None
            self.add_module(f"ih_l{layer}", linear)
            self.add_module(f"hh_l{layer}", Recurrence(op, recurrent, bias))

    def forward(self, input: Tensor, hx: object = None) -> tuple[Tensor, None]:
        if hx is not None:
            raise GraphError("a recurrent layer with a given first state is not supported; it starts at zero")
        for layer in range(self.depth):
            input = self.get_submodule(f"hh_l{layer}")(self.get_submodule(f"ih_l{layer}")(input))
        return input, None
