"""Batch-norm whose products are shifts: every factor is the nearest power of two."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..ops.powers import nearest_power, nearest_power_ste
from .graph import Graph
from .kind import Kind, Primitive
from .spec import check

MOMENTUM = 0.125


class ShiftBatchNorm(Primitive):
    """c = x - mean;  var = mean(c · AP2(c));  y = AP2(γ) · c · AP2(1 / sqrt(var + ε)) + β.

    AP2 is the nearest power of two, its gradient 1. In evaluation mean and 1 / sqrt(var + ε) are their running means.

    Args:
        norm: the batch-norm that it takes the place of; its parameters stay the same objects.
    Source: Courbariaux et al., "Binarized Neural Networks", arXiv 1602.02830, shift-based batch normalization. Differs:
    the backward pass is that of the formula, straight through AP2.
    """

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps
        if norm.affine:
            self.weight, self.bias = norm.weight, norm.bias
        else:
            self.register_buffer("weight", torch.ones(norm.num_features))
            self.register_buffer("bias", torch.zeros(norm.num_features))
        self.running_mean: Tensor
        self.running_inverse: Tensor
        assert norm.running_mean is not None, "kinds without running statistics are refused"
        assert norm.running_var is not None
        self.register_buffer("running_mean", norm.running_mean.detach().clone())
        self.register_buffer("running_inverse", (norm.running_var.detach() + norm.eps).rsqrt())
        self.train(norm.training)

    def kind(self) -> Kind:
        return Kind("batch_norm")

    def forward(self, x: Tensor) -> Tensor:
        wide, shape = x.to(torch.promote_types(x.dtype, torch.float32)), (1, -1, *[1] * (x.dim() - 2))
        mean, inverse = self.running_mean, self.running_inverse
        if self.training:
            axes = [axis for axis in range(x.dim()) if axis != 1]
            mean = wide.mean(axes)
            centred = wide - mean.reshape(shape)
            inverse = ((centred * nearest_power_ste(centred)).mean(axes) + self.eps).rsqrt()
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), MOMENTUM)
                self.running_inverse.lerp_(inverse.to(self.running_inverse.dtype), MOMENTUM)
        factor = nearest_power_ste(self.weight) * nearest_power_ste(inverse)
        y: Tensor = (wide - mean.reshape(shape)) * factor.reshape(shape) + self.bias.reshape(shape)
        return y.to(x.dtype)

    def affine(self) -> tuple[Tensor, Tensor]:
        """In evaluation, as y = x·m + b: m a power of two, float64 (C,) both."""
        factor = (nearest_power(self.weight) * nearest_power(self.running_inverse)).double()
        return factor, self.bias.detach().double() - self.running_mean.double() * factor


def use_shift_norms(graph: Graph) -> Graph:
    """A copy of the graph in which every batch-norm multiplies by powers of two, starting from the numbers it has."""
    graph = graph.copy()
    for node in graph.nodes:
        if graph.kind(node).op == "batch_norm":
            graph.module.set_submodule(str(node.target), ShiftBatchNorm(graph.submodule(node)))
    return check(graph.refresh())
