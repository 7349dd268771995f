"""Rounding that keeps a layer's outputs: each weight's error is made up for by the weights that are still free."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..graph import Parts
from .quantizer import Quantizer
from .rows import ROWS, input_rows

DAMPING = 0.01


def rounded_to_outputs(
    layer: Any, weight: Tensor, quantizer: Quantizer, x: Parts, target: Tensor | None = None, is_centred: bool = False
) -> Tensor:
    """Weights on the quantizer's levels, (O, I / groups, ...), chosen for the layer's outputs on `x`.

    With H = XXᵀ of the inputs of one output channel, H + 0.01 mean(diag H) I, and U the upper Cholesky factor of its
    inverse, column by column, the largest H_jj first: q_j = nearest level of w_j; e = (w_j - q_j) / U_jj;
    w_k -= e U_jk for all later k.

    Args:
        layer: Conv2d or Linear; gives stride, padding, dilation and groups.
        weight: float weights. quantizer: fitted; its levels are not changed.
        x: inputs as the layer meets them, quantized ones where they are.
        target: outputs that are wanted, bias included, (positions, O) as of `rows.output_rows` with `rows.ROWS`: the
            weights start from W + (Y - WX) Xᵀ H⁻¹, and undo what the layers before lost. None: the layer's own.
        is_centred: whether the mean of the inputs is taken out, so that H is their covariance: where the bias makes up
            for means. Behind a ReLU they would be most of H, and the rounding would work for what is free.
    Raises: QuantizerError for a method whose grains are rows or positions of the kernel.
    Source: Frantar et al., "GPTQ", ICLR 2023, for the layers of any network instead of language models. Differs: the
    targets, which are the float network's.
    """
    if quantizer.parts.grain not in ("tensor", "channel"):
        raise QuantizerError(
            f"rounding for the outputs goes weight by weight and knows no {quantizer.parts.grain} of a kernel; "
            'use rounding = "nearest"'
        )
    groups = getattr(layer, "groups", 1)
    columns = weight.detach().double().reshape(groups, weight.shape[0] // groups, -1)
    wanted = _without_bias(layer, target).reshape(len(target), groups, -1).unbind(1) if target is not None else None
    parameters = quantizer.rule.final_parameters()
    outputs = columns.shape[1]
    rounded = []
    for g, (w, inputs) in enumerate(zip(columns, input_rows(layer, x, ROWS), strict=True)):
        own = {k: v[g * outputs : (g + 1) * outputs] if len(v) > 1 else v for k, v in parameters.items()}
        inputs = inputs - inputs.mean(0) if is_centred else inputs
        inverse = _inverse(inputs)
        start = w if wanted is None else w + _missing(w, inputs, wanted[g], is_centred) @ inverse
        # What matters most is rounded while the most weights are free to make up for it.
        order = inputs.square().sum(0).argsort(descending=True, stable=True)
        factor = torch.linalg.cholesky(inverse[order][:, order], upper=True)
        in_order = _rounded(start[:, order], factor, lambda v, own=own: quantizer.grid.value(v, own))
        rounded.append(in_order[:, order.argsort()])
    return torch.stack(rounded).reshape(weight.shape)


def _without_bias(layer: Any, y: Tensor) -> Tensor:
    return y if layer.bias is None else y - layer.bias.detach()


def _missing(w: Tensor, inputs: Tensor, wanted: Tensor, is_centred: bool) -> Tensor:
    """(Y - WX) Xᵀ: how what is missing of the outputs, (positions, O), goes with the inputs, (O, K), float64."""
    missing = wanted - inputs @ w.float().T
    return ((missing - missing.mean(0) if is_centred else missing).T @ inputs).double()


def _rounded(w: Tensor, factor: Tensor, nearest: Any) -> Tensor:
    """w: (O, K) float64, changed. factor: (K, K). Returns: levels (O, K) float32."""
    levels = torch.empty(w.shape, dtype=torch.float32)
    for j in range(w.shape[1]):
        levels[:, j] = nearest(w[:, j : j + 1].float())[:, 0]
        error = (w[:, j] - levels[:, j].double()) / factor[j, j]
        w[:, j + 1 :] -= error[:, None] * factor[j, j + 1 :]
    return levels


def _inverse(inputs: Tensor) -> Tensor:
    """Inverse of the damped correlations of `inputs` (positions, K); float64."""
    correlation = (inputs.T @ inputs).double()
    # An input that is always zero has no say; its weight is rounded to the nearest level.
    dead = correlation.diagonal() == 0
    mean = correlation.diagonal().mean().clamp_min(1e-12)
    correlation += torch.diag(DAMPING * mean + dead * mean)
    return torch.cholesky_inverse(torch.linalg.cholesky(correlation))
