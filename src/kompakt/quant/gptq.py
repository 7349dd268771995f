"""Rounding that keeps a layer's outputs: each weight's error is made up for by the weights that are still free."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from .quantizer import Quantizer
from .rows import input_rows

DAMPING = 0.01
ROWS = 16_000  # positions that the correlations are taken from; a layer has at most some thousand inputs


def rounded_to_outputs(layer: Any, weight: Tensor, quantizer: Quantizer, x: Tensor, is_centred: bool = False) -> Tensor:
    """Weights on the quantizer's levels, (O, I / groups, ...), chosen for the layer's outputs on `x`.

    With H = XXᵀ of the inputs of one output channel, H + 0.01 mean(diag H) I, and U the upper Cholesky factor of its
    inverse, column by column: q_j = nearest level of w_j; e = (w_j - q_j) / U_jj; w_k -= e U_jk for all k > j.

    Args:
        layer: Conv2d or Linear; gives stride, padding, dilation and groups.
        weight: float weights. quantizer: fitted; its levels are not changed.
        x: inputs as the layer meets them, quantized ones where they are.
        is_centred: whether the mean of the inputs is taken out, so that H is their covariance: where the bias makes up
            for means. Behind a ReLU they would be most of H, and the rounding would work for what is free.
    Raises: QuantizerError for a method whose grains are rows or positions of the kernel.
    Source: Frantar et al., "GPTQ", ICLR 2023, for the layers of any network instead of language models.
    """
    if quantizer.parts.grain not in ("tensor", "channel"):
        raise QuantizerError(
            f"rounding for the outputs goes weight by weight and knows no {quantizer.parts.grain} of a kernel; "
            'use rounding = "nearest"'
        )
    groups = getattr(layer, "groups", 1)
    columns = weight.detach().double().reshape(groups, weight.shape[0] // groups, -1)
    factors = [_inverse_factor(inputs, is_centred) for inputs in input_rows(layer, x, ROWS)]
    parameters = quantizer.rule.final_parameters()
    outputs = columns.shape[1]
    rounded = []
    for g, (w, factor) in enumerate(zip(columns, factors, strict=True)):
        own = {k: v[g * outputs : (g + 1) * outputs] if len(v) > 1 else v for k, v in parameters.items()}
        rounded.append(_rounded(w.clone(), factor, lambda v, own=own: quantizer.grid.value(v, own)))
    return torch.stack(rounded).reshape(weight.shape)


def _rounded(w: Tensor, factor: Tensor, nearest: Any) -> Tensor:
    """w: (O, K) float64, changed. factor: (K, K). Returns: levels (O, K) float32."""
    levels = torch.empty(w.shape, dtype=torch.float32)
    for j in range(w.shape[1]):
        levels[:, j] = nearest(w[:, j : j + 1].float())[:, 0]
        error = (w[:, j] - levels[:, j].double()) / factor[j, j]
        w[:, j + 1 :] -= error[:, None] * factor[j, j + 1 :]
    return levels


def _inverse_factor(inputs: Tensor, is_centred: bool) -> Tensor:
    """Upper Cholesky factor of the inverse of the damped correlations of `inputs` (positions, K); float64."""
    x = inputs.float()
    x = x - x.mean(0) if is_centred else x
    correlation = (x.T @ x).double()
    # An input that is always zero has no say; its weight is rounded to the nearest level.
    dead = correlation.diagonal() == 0
    mean = correlation.diagonal().mean().clamp_min(1e-12)
    correlation += torch.diag(DAMPING * mean + dead * mean)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(correlation))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor
