"""AdaRound: for every weight of a layer, learn whether to round up or down."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..graph import Parts
from .quantizer import Quantizer
from .rows import ROWS, input_rows

STEPS, LEARNING_RATE = 1500, 0.02
STRETCH, SHIFT = 1.2, -0.1  # ζ - γ and γ of the rectified sigmoid
FIRST_BETA, LAST_BETA, WARM_UP = 20.0, 2.0, 0.2
PENALTY = 3.0


def learned_rounding(layer: Any, weight: Tensor, quantizer: Quantizer, x: Parts, target: Tensor) -> Tensor:
    """Weights on the quantizer's levels, (O, I / groups, ...), each the next level below or above the float weight.

        Ŵ = L + (U - L) · h(V),   h(V) = clip(1.2 σ(V) - 0.1, 0, 1),   L <= W <= U neighbouring levels
        minimise  ‖Ŵx - y‖² / ‖W₀x - y‖² + λ mean(1 - |2h - 1|^β),   W₀ the nearest levels, β from 20 to 2

    Means of x and y are taken out on both sides: the bias makes up for them. The error is a quadratic form of Ŵ, whose
    matrix xxᵀ is computed once, so that every step sees all of about `ROWS` positions.

    Args:
        layer: Conv2d or Linear; gives stride, padding, dilation and groups.
        weight: float weights. quantizer: fitted; its levels are not changed.
        x: inputs as the quantized network has them. target: y (positions, O), the float network's outputs there, see
            `rows.output_rows` with `rows.ROWS`.
    Source: Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020, eq. 21-24.
    Differs: no ReLU in the error; whole batches and 1,500 steps; the error is relative to that of the nearest levels.
    """
    weight, groups = weight.detach().float(), getattr(layer, "groups", 1)
    inputs = torch.stack(input_rows(layer, x, ROWS)).float()  # (groups, positions, K)
    inputs = inputs - inputs.mean(1, keepdim=True)
    wanted = (
        (target - target.mean(0)).float().reshape(len(target), groups, -1).permute(1, 2, 0)
    )  # (groups, O, positions)
    gram, cross = inputs.transpose(1, 2) @ inputs, wanted @ inputs
    shape = (groups, weight.shape[0] // groups, -1)
    lower, upper = (level.reshape(shape) for level in neighbours(quantizer, weight))
    nearest = quantizer.grid.value(weight, quantizer.rule.final_parameters()).reshape(shape)
    scale = float(((nearest @ gram - 2 * cross) * nearest).sum() + wanted.square().sum())
    up = _optimised(weight.reshape(shape), lower, upper, gram / max(scale, 1e-30), cross / max(scale, 1e-30))
    return torch.where(up, upper, lower).reshape(weight.shape)


def neighbours(quantizer: Quantizer, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The levels below and above every weight, float32, of its shape; both are the end level beyond the ends."""
    encoding, scale = quantizer.encoding()
    table = torch.from_numpy(encoding.table() * scale[:, None])  # (grains, levels)
    legal = quantizer.grid.value(table, quantizer.rule.final_parameters()).sort(dim=1).values
    rows = weight.detach().float().reshape(len(legal), -1).contiguous()
    at_most = torch.searchsorted(legal, rows, right=True) - 1
    above = torch.searchsorted(legal, rows)
    lower = legal.gather(1, at_most.clamp_min(0)).reshape(weight.shape)
    return lower, legal.gather(1, above.clamp_max(legal.shape[1] - 1)).reshape(weight.shape)


@torch.enable_grad()
def _optimised(weight: Tensor, lower: Tensor, upper: Tensor, gram: Tensor, cross: Tensor) -> Tensor:
    """Whether each weight goes to its upper level, bool (groups, O, K)."""
    gap = upper - lower
    share = torch.where(gap > 0, (weight - lower) / gap.clamp_min(1e-30), torch.zeros_like(gap)).clamp(0, 1)
    choice = torch.logit((share - SHIFT) / STRETCH).requires_grad_()
    optimizer = torch.optim.Adam([choice], lr=LEARNING_RATE)
    for step in range(STEPS):
        h = (torch.sigmoid(choice) * STRETCH + SHIFT).clamp(0, 1)
        rounded = lower + gap * h
        slope = 2 * (rounded.detach() @ gram - cross)  # of the quadratic form: its gradient, as one product
        loss = (rounded * slope).sum()
        progress = (step / STEPS - WARM_UP) / (1 - WARM_UP)
        if progress > 0:
            beta = FIRST_BETA + (LAST_BETA - FIRST_BETA) * progress
            loss = loss + PENALTY * (1 - (2 * h - 1).abs().pow(beta)).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (choice.detach() > 0) & (gap > 0)
