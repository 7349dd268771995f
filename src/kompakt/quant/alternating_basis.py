"""The rule of LQ-Nets: a basis found by alternating least squares while the network trains."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..ops import basis as basis_ops
from ..ops.sampling import thinned
from .grids import Basis, Grid, Parameters
from .rule import Rule

FIT_VALUES = 200_000  # enough for a basis to four digits; a whole calibration batch has millions
SMALLEST_RIDGE = 1e-6


class AlternatingBasis(Rule):
    """A basis found by alternating least squares: one alternation per training step and a zero-debiased running mean.

        v_new = (BBᵀ + εI)⁻¹ (Bx + εv);   b = 0.9·b + 0.1·v_new;   n = n + 1;   v = b / (1 - 0.9ⁿ)

    The forward pass uses the basis of the step before. After `finish` it uses the basis snapped to whole levels, which
    is what the file holds; the running mean goes on. No gradient reaches the basis. A step with fewer than two
    distinct codes changes nothing.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the values.
        sample_axis: whether the values are activations (axis 0 counts samples).
    Source: Zhang et al., "LQ-Nets", ECCV 2018, section 3.2, algorithm 1, and the authors' released code. Differs: the
    ridge also steadies activations; the start is scaled to the data and then converged (`fit`).
    """

    RIDGE, MOMENTUM, FIT_STEPS = 1e-4, 0.9, 60

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Basis):
            raise QuantizerError(f"an alternating basis has a basis grid, got {grid}")
        self.grid, self.sample_axis, self.snapped = grid, sample_axis, False
        self.gradient_scale = 1.0
        self.basis: Tensor
        self.accumulator: Tensor
        self.count: Tensor
        self.register_buffer("basis", torch.ones(grains, grid.bits))
        self.register_buffer("accumulator", torch.zeros(grains, grid.bits))
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Converge on x from the published start, scaled to the data; the running mean starts with the result."""
        x = thinned(x.detach().float(), FIT_VALUES) if self.sample_axis else x.detach().float()
        basis = initial_basis(x, self.grid, self.basis.shape[0])
        for _ in range(self.FIT_STEPS):
            basis = basis_ops.alternate(x, basis, self.grid.digits, self._ridge(x))
        self.basis.copy_(basis)
        self.accumulator.copy_((1 - self.MOMENTUM) * basis)
        self.count.fill_(1)

    def parameters_of_grid(self) -> Parameters:
        return self.final_parameters() if self.snapped else {"basis": self.basis}

    def final_parameters(self) -> Parameters:
        """The basis as the file holds it: whole numbers (G, K) times one scale per grain (G, 1)."""
        integer, scale = basis_ops.snap(self.basis)
        return {"basis": integer * scale, "integer": integer, "scale": scale}

    @torch.no_grad()
    def snap_error(self) -> float:
        """Largest distance between a level and its whole-number form, as a share of the range of levels."""
        final = self.final_parameters()["basis"]
        one_sided = self.basis.abs().sum(1).clamp_min(1e-30)
        span = 2 * one_sided if self.grid.signed else one_sided
        return float(((final - self.basis).abs().sum(1) / span).max())

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """One alternation on x with the codes of the current basis, then the running mean."""
        levels = basis_ops.sorted_levels(self.parameters_of_grid()["basis"], self.grid.digits)
        shares, sums = basis_ops.level_statistics(x, levels)
        new = basis_ops.least_squares_basis(self.basis, levels, self.grid.digits, shares, sums, self._ridge(x))
        alive = ((shares > 0).sum(1, keepdim=True) >= 2) & torch.isfinite(new).all(1, keepdim=True)
        new = torch.where(alive, new, self.basis)
        self.accumulator.copy_(self.MOMENTUM * self.accumulator + (1 - self.MOMENTUM) * new)
        self.count.add_(1)
        self.basis.copy_(self.accumulator / (1 - self.MOMENTUM**self.count))

    def finish(self) -> None:
        self.snapped = True

    def _ridge(self, x: Tensor) -> float:
        # The released code adds 1e-4 to the plain sums of a filter; here sums are means. Activations, which have no
        # ridge there, get one relative to their mean. Less than SMALLEST_RIDGE would vanish beside 1 in float32.
        return self.RIDGE if self.sample_axis else max(self.RIDGE * self.basis.shape[0] / x.numel(), SMALLEST_RIDGE)


def initial_basis(x: Tensor, grid: Basis, grains: int) -> Tensor:
    """The start of the released code, with the data's own spread σ: v_j = 2^j · 2cσ / (2^K - 1), c = 0.6745; (G, K)."""
    flat = x.flatten(1) if grains > 1 else x.reshape(1, -1)
    spread = flat.square().mean(1, keepdim=True).sqrt().clamp_min(1e-8)
    if not grid.signed:
        spread = spread * math.sqrt(2)  # the root mean square of a rectified unit normal is sqrt(1/2)
    powers = 2.0 ** torch.arange(grid.bits, device=x.device)
    return torch.as_tensor(powers * (2 * 0.6745 / (2**grid.bits - 1)) * spread)
