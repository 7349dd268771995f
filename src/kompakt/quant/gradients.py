"""Gradients of few bits while a network trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..ops.gradients import with_quantized_gradient
from .slots import WeightSlot

FLOAT_BITS = 32


@contextmanager
def quantized_gradients(module: nn.Module, bits: int) -> Iterator[None]:
    """While it lasts, the gradient of every convolution's and linear layer's sums has `bits` bits, 2 to 8; 32: float.

    Both products of the backward pass, for the weight and for the input, then have operands of few bits. Layers with
    float weights keep their gradients; weight gradients and what the optimizer adds up stay float. Roundings are drawn
    from torch's generator.

    Raises: QuantizerError where no such layer has a quantized weight.
    """
    if bits == FLOAT_BITS:
        yield
        return
    layers = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear) and _is_quantized(part)]
    if not layers:
        raise QuantizerError(f"gradients of {bits} bits need a layer with quantized weights; set gradient_bits to 32")

    def hook(layer: nn.Module, inputs: object, sums: Tensor) -> Tensor:
        return with_quantized_gradient(sums, bits)

    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_quantized(layer: nn.Module) -> bool:
    chains = getattr(layer, "parametrizations", {})
    return "weight" in chains and isinstance(chains["weight"][0], WeightSlot)
