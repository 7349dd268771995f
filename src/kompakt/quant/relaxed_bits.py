"""AdaQAT: real-valued bit-widths, moved by differences of the loss between neighbouring whole ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .assigned_bits import FEWEST, AssignedBits
from .grids import Grid
from .rule import Controlled, Controller, Moment, mean_weight_bits

STRENGTH = 1e-3  # λ: of one bit in the loss; `train.penalty` multiplies it
PACE = 5.0  # η: bits that a gap of 1 is worth
LONGEST = 0.5  # bits of one move
MEMORY = 0.9  # of the running mean of differences: a batch's own is noise
ABOVE = 1e-6  # a whole number, that still counts as it
REVERSALS = 4  # of the whole bit-width, after which it is frozen


class RelaxedBits(AssignedBits):
    """A relaxed bit-width N per tensor. Levels are those of ⌈N⌉ bits; nothing is ever computed with N itself.

    A probe measures the gap L(k) - L(k + 1) of the loss between the two whole bit-widths around N on one batch, then

        N ← N + η·(mean gap - cost)

    When ⌈N⌉ has turned round REVERSALS times, it is frozen at the larger of its last two values.

    Attributes:
        relaxed: N. gap: running mean of the gaps around N. seen: how many there were. probes: of all of N's life.
            heading: where ⌈N⌉ went last, +1 or -1; 0 before. reversals: how often it turned round. frozen: 1 once it
            stays.
    Source: Gernigon et al., "AdaQAT", arXiv 2404.16876. Differs: N per tensor, probed in turn, instead of one for all
    weights and one for all activations; steps are learned as by LSQ; constants are ours.
    """

    relaxed: Tensor
    gap: Tensor
    seen: Tensor
    probes: Tensor
    heading: Tensor
    reversals: Tensor
    frozen: Tensor

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__(grid, grains, sample_axis)
        self.register_buffer("relaxed", self.bits.clone())
        for name in ("gap", "seen", "probes", "heading", "reversals", "frozen"):
            self.register_buffer(name, torch.zeros(1))
        if self.grid.bits == FEWEST:
            self.frozen.fill_(1)

    def controller(self) -> Controller:
        return probe_one

    @property
    def neighbour(self) -> int:
        """The whole bit-width to compare with: the next lower one; where there is none, the next higher one."""
        return self.whole_bits - 1 if self.whole_bits > FEWEST else FEWEST + 1

    @torch.no_grad()
    def learn(self, gap: float, cost: float, weight: Tensor | None = None) -> None:
        """Move N by a measured gap and the cost of a bit, both in units of the loss, and the bits in use with it."""
        self.probes += 1
        self.seen += 1
        self.gap += max(1 - MEMORY, 1 / float(self.seen)) * (gap - self.gap)
        move = PACE * (float(self.gap) - cost)
        self.relaxed.add_(min(max(move, -LONGEST), LONGEST)).clamp_(FEWEST, self.grid.bits)
        bits = math.ceil(float(self.relaxed) - ABOVE)
        if bits != self.whole_bits:
            self._go_to(bits, weight)

    def _go_to(self, bits: int, weight: Tensor | None) -> None:
        heading = math.copysign(1, bits - self.whole_bits)
        self.reversals += float(self.heading) == -heading
        self.heading.fill_(heading)
        self.seen.zero_()  # what comes now is the gap of another pair
        self.assign(bits, weight)

    @property
    def larger(self) -> int:
        """The larger one of the last two whole bit-widths."""
        return self.whole_bits + int(float(self.heading) < 0)

    @torch.no_grad()
    def freeze(self, weight: Tensor | None = None) -> None:
        """From now on the larger one of the last two whole bit-widths."""
        self.assign(self.larger, weight)
        self.relaxed.copy_(self.bits)
        self.frozen.fill_(1)


def probe_one(rules: Controlled, moment: Moment) -> None:
    """Probe the tensor whose turn it is, and move its bit-width.

    A bit costs `moment.penalty` · STRENGTH · share. Weights have a budget, `mean_bits` on average: while they keep it,
    their bits cost nothing, and none is frozen at bits that do not fit in.
    """
    relaxed = [(rule, weight) for rule, weight in rules if isinstance(rule, RelaxedBits)]
    moving = [pair for pair in relaxed if not pair[0].frozen]
    if not moving:
        return
    rule, weight = min(moving, key=lambda pair: float(pair[0].probes))
    with rule.tried(rule.neighbour):
        gap = float(moment.again() - moment.loss)
    gap = gap if rule.neighbour < rule.whole_bits else -gap
    is_free = weight is not None and mean_weight_bits(relaxed) <= rule.mean_bits
    rule.learn(gap, 0.0 if is_free else moment.penalty * STRENGTH * rule.share, weight)
    if rule.reversals >= REVERSALS:
        with rule.tried(rule.larger):
            fits = weight is None or mean_weight_bits(relaxed) <= rule.mean_bits
        if fits:
            rule.freeze(weight)
