"""Bit-widths that somebody assigns while the network trains: learned steps that survive a change of their bits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..encoding import Encoding
from ..ops import basis as basis_ops
from ..ops import uniform
from ..ops.grains import per_grain, rows_of
from ..ops.sampling import thinned
from ..ops.steps import searched_step
from ..ops.surrogate import scale_gradient
from .grids import Grid, Parameters, Uniform
from .learned_step import FIT_VALUES, SMALLEST_STEP
from .rule import Controller, Rule

FEWEST = 2


@dataclass(frozen=True)
class Assigned:
    """Whole multiples of `p["step"]` (1,), as many as the whole number of bits `p["bits"]` (1,) allows.

    Args:
        bits: the most. signed: whether levels may be negative. symmetric: whether 8 bits then leave out -128.
    """

    bits: int
    signed: bool
    symmetric: bool = False

    def limits(self, p: Parameters) -> tuple[Tensor, Tensor]:
        """Lowest and highest level, (1,) each: of `plain(p)`, without a look at the number of bits."""
        highest = torch.round(2.0 ** (p["bits"] - int(self.signed))) - 1  # a compiled power may be off by a bit
        if not self.signed:
            return torch.zeros_like(highest), highest
        return -highest - ((p["bits"] < 8).float() if self.symmetric else 1.0), highest

    def plain(self, p: Parameters) -> Uniform:
        """The uniform grid of that many bits."""
        bits = int(p["bits"])
        return Uniform(bits, self.signed, symmetric=self.symmetric and bits == 8)

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        step = per_grain(p["step"], x)
        return torch.clamp(torch.round(x / step), *self.limits(p)) * step

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        return self.plain(p).code(x, p)

    def levels(self, p: Parameters) -> basis_ops.Levels:
        return self.plain(p).levels(p)

    def starts_at_zero(self, p: Parameters) -> bool:
        return not self.signed

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        return self.plain(p).encoding(p)


class AssignedBits(Rule):
    """A learned step (see `LearnedStep`) at a bit-width that a controller assigns, from the grid's most down to 2.

    Start: the most bits. Steps of least squared error are found for every bit-width; a new bit-width changes the step
    by their ratio, or, where the float values are at hand, starts it anew.

    Args:
        grid: where the levels lie.
        grains: 1.
        sample_axis: whether the values are activations.

    Attributes:
        share: of the cost of a bit, 1 on average over the network (`quant.bit_costs`).
        mean_bits: most bits per weight, on average, that the controller of the network's weights shall assign.
    Raises: QuantizerError for another grid.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Assigned):
            raise QuantizerError(f"assigned bits have a grid that takes them, got {grid}")
        self.grid, self.sample_axis, self.gradient_scale = grid, sample_axis, 1.0
        self.share, self.mean_bits = 1.0, float(grid.bits)
        self.step = nn.Parameter(torch.ones(grains))
        self.bits: Tensor
        self.starts: Tensor
        self.count: Tensor
        self.register_buffer("bits", torch.full((1,), float(grid.bits)))
        self.register_buffer("starts", torch.ones(grid.bits + 1))  # of the steps, by number of bits
        self.register_buffer("count", torch.ones(1))  # values per sample

    @abstractmethod
    def controller(self) -> Controller: ...

    @property
    def whole_bits(self) -> int:
        """The bit-width now."""
        return int(self.bits)

    @property
    def bits_now(self) -> float:
        return self.whole_bits

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Steps of least squared error on x, at every bit-width. The parameter object stays."""
        rows = rows_of(thinned(x, FIT_VALUES), 1)
        for bits in range(FEWEST, self.grid.bits + 1):
            lo, hi = self.grid.limits({"bits": torch.tensor([float(bits)])})
            self.starts[bits] = searched_step(rows, int(lo), int(hi)).clamp_min(SMALLEST_STEP)[0]
        self.step.copy_(self.starts[self.whole_bits])
        self.count.fill_(x[0].numel() if self.sample_axis else x.numel())

    @torch.no_grad()
    def assign(self, bits: int, weight: Tensor | None = None) -> None:
        """From now on `bits`; with the float `weight`, the step starts anew where that is a change."""
        if bits == self.whole_bits:
            return
        self.step.mul_(self.starts[bits] / self.starts[self.whole_bits])
        self.bits.fill_(bits)
        if weight is not None:
            self.fit(weight)

    @contextmanager
    def tried(self, bits: int) -> Iterator[None]:
        """Within the context: `bits`. After it: everything as before, bit for bit."""
        before, step = self.whole_bits, self.step.detach().clone()
        self.assign(bits)
        try:
            yield
        finally:
            with torch.no_grad():
                self.bits.fill_(before)
                self.step.copy_(step)

    def parameters_of_grid(self) -> Parameters:
        # A buffer that changes in place must not be what backward reads.
        bits = self.bits.clone()
        _, highest = self.grid.limits({"bits": bits})
        return {"step": scale_gradient(self.step, torch.rsqrt(self.count * highest)), "bits": bits}

    def final_parameters(self) -> Parameters:
        """Step and bits as they are."""
        return {"step": self.step.detach(), "bits": self.bits.clone()}

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the step above a floor."""
        self.step.clamp_(min=SMALLEST_STEP)


def assigned(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """LSQ at the bits of `p`: ∂x̂/∂x = 1 inside the clip; the step gets its three-branch gradient."""
    if not isinstance(grid, Assigned):
        raise QuantizerError(f"the surrogate of assigned bits has a grid that takes them, got {grid}")
    lo, hi = (per_grain(limit, x) for limit in grid.limits(p))
    return uniform.fake_quantize(x, per_grain(p["step"], x), lo, hi, gradient_scale)
