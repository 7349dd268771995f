"""The quantizer: grid x rule x surrogate x bits on a grain. One final class; methods differ only in the parts they name."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..encoding import Encoding
from .alternating_basis import AlternatingBasis
from .grids import Basis, Uniform
from .learned_step import LearnedStep
from .surrogates import clipped, step_aware

GRIDS = {"uniform": Uniform, "basis": Basis}
RULES = {"learned_step": LearnedStep, "alternating_basis": AlternatingBasis}
SURROGATES = {"step_aware": step_aware, "clipped": clipped}


@dataclass(frozen=True)
class Parts:
    """A method as data: names of its parts, the grain of its weights, and what it claims.

    Attributes:
        bits: bit-widths that the method can do.
        grain: "tensor" or "channel" (one parameter set per output channel); used for weights, activations are per tensor.
        needs_positive: whether activations must not be negative (codes with digits 0/1).
    """

    grid: str
    rule: str
    surrogate: str
    grain: str
    bits: tuple[int, ...]
    needs_positive: bool = False
    claims: frozenset[str] = field(default_factory=frozenset)


class Quantizer(nn.Module):
    """Float in, float out: every value replaced by its level.

    Args:
        parts: the method.
        bits: bit-width of the codes.
        signed: whether levels may be negative.
        grains: 1, or the size of axis 0 of the values (one parameter set each).
        sample_axis: whether axis 0 of the values counts samples (activations).
    Raises: QuantizerError for a bit-width that the method cannot do.
    """

    def __init__(self, parts: Parts, bits: int, signed: bool, grains: int = 1, sample_axis: bool = False) -> None:
        super().__init__()
        if bits not in parts.bits:
            raise QuantizerError(f"bits must be one of {parts.bits} for this method, got {bits}")
        options = {"symmetric": bits == 8 and signed and not sample_axis} if parts.grid == "uniform" else {}
        self.parts, self.bits, self.signed = parts, bits, signed
        self.grid = GRIDS[parts.grid](bits, signed, **options)
        self.rule = RULES[parts.rule](self.grid, grains, sample_axis)
        self.surrogate = SURROGATES[parts.surrogate]

    def fit(self, x: Tensor) -> None:
        """Set the parameters from data `x` (weights, or a calibration batch of activations).

        Raises: QuantizerError if x holds NaN or Inf.
        """
        if not torch.isfinite(x).all():
            raise QuantizerError(f"cannot fit a quantizer to values with NaN or Inf (shape {tuple(x.shape)})")
        self.rule.fit(x)

    def forward(self, x: Tensor) -> Tensor:
        p = self.rule.parameters_of_grid()
        y = self.surrogate(x, self.grid, p, self.rule.gradient_scale)
        if self.training:
            self.rule.observe(x)
        return y

    @torch.no_grad()
    def encoding(self) -> tuple[Encoding, np.ndarray]:
        """The encoding, and one float32 scale per grain."""
        return self.grid.encoding(self.rule.final_parameters())

    @torch.no_grad()
    def thresholds(self) -> tuple[np.ndarray, list[int]]:
        """Of a grid with one grain that compares: thresholds between the sorted levels, float32, and the code of each level."""
        levels = self.grid.levels(self.rule.final_parameters())
        return levels.thresholds[0].numpy(), levels.codes[0].tolist()

    @torch.no_grad()
    def encode(self, x: Tensor) -> tuple[np.ndarray, Encoding, np.ndarray]:
        """Codes uint8 (shape of x), their encoding, and one float32 scale per grain."""
        p = self.rule.final_parameters()
        encoding, scale = self.grid.encoding(p)
        return self.grid.code(x.detach().float(), p).numpy().astype(np.uint8), encoding, scale
