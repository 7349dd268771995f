"""BMPQ: bit-widths assigned by the gradients of the weights' own bits, under a budget, again after every epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..ops.allocation import Option, allocate
from .assigned_bits import FEWEST, AssignedBits
from .grids import Grid
from .rule import Controlled, Controller, Moment


class RankedBits(AssignedBits):
    """A bit-width that an integer linear program assigns by the sensitivity of the weight, see `rank_and_assign`.

    Attributes:
        sensitivity: sum of normalised bit gradients since the last assignment. seen: number of steps in it.
    Source: Kundu et al., "BMPQ", arXiv 2112.13843. Differs: steps are learned as by LSQ; normalisation and objective
    are ours (not found).
    """

    sensitivity: Tensor
    seen: Tensor

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__(grid, grains, sample_axis)
        self.register_buffer("sensitivity", torch.zeros(1))
        self.register_buffer("seen", torch.zeros(1))

    def controller(self) -> Controller:
        return rank_and_assign

    @torch.no_grad()
    def bit_gradient(self, gradient: Tensor) -> Tensor:
        """Mean over the weights of Σⱼ |∂L/∂bⱼ|, with the bits bⱼ of the codes, from ∂L/∂ŵ; a scalar.

        ∂L/∂bⱼ = ±∂L/∂ŵ · step · 2^j, so that the sum over j is |∂L/∂ŵ| · step · (2^bits - 1). Weights beyond the
        levels get no gradient, and count as insensitive.
        """
        top: int = 2**self.whole_bits - 1
        return gradient.abs().mean() * self.step[0] * top


def rank_and_assign(rules: Controlled, moment: Moment) -> None:
    """In every step: add up bit gradients, as shares of the largest. At an epoch's end: assign bits by them.

    The bits minimise Σ count · sensitivity / (2^bits - 1), which is in proportion to the change of the loss, of first
    order, by errors of rounding: with Σ count · bits <= mean_bits · Σ count; exactly.

    Raises: QuantizerError if a weight has no gradient. RecipeError if `mean_bits` is below the fewest bits.
    """
    ranked = [(rule, weight) for rule, weight in rules if isinstance(rule, RankedBits) and weight is not None]
    found = torch.stack([rule.bit_gradient(_gradient(weight)) for rule, weight in ranked])
    for (rule, _), share in zip(ranked, found / found.max().clamp_min(torch.finfo().tiny), strict=True):
        rule.sensitivity += share
        rule.seen += 1
    if moment.ends_epoch:
        for (rule, weight), bits in zip(ranked, best_bits(ranked), strict=True):
            rule.assign(bits, weight)
            rule.sensitivity.zero_()
            rule.seen.zero_()


def best_bits(ranked: list[tuple[RankedBits, Tensor]]) -> list[int]:
    """The bits of every weight that the program chooses."""
    choices = [list(range(FEWEST, rule.grid.bits + 1)) for rule, _ in ranked]
    items = [
        [Option(b * weight.numel(), weight.numel() * float(rule.sensitivity / rule.seen) / (2**b - 1)) for b in bits]
        for (rule, weight), bits in zip(ranked, choices, strict=True)
    ]
    budget = int(min(rule.mean_bits for rule, _ in ranked) * sum(weight.numel() for _, weight in ranked))
    return [bits[i] for bits, i in zip(choices, allocate(items, budget), strict=True)]


def _gradient(weight: Tensor) -> Tensor:
    if weight.grad is None:
        raise QuantizerError(
            f"a weight of shape {tuple(weight.shape)} has no gradient: bits are assigned between backward and optimizer"
        )
    return weight.grad
