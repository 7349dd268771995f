"""SYQ: signs times learned scales, one for a whole weight, for every row or for every position of its kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..encoding import Affine, Encoding, Planes, Table
from ..ops import basis as basis_ops
from ..ops.surrogate import with_gradient_of
from .grids import Grid, Parameters
from .rule import Rule

SMALLEST_SCALE = 1e-6
THRESHOLD = 0.05  # η, of the largest magnitude
LARGEST = 127


@dataclass(frozen=True)
class Signs:
    """`p["scale"]` (S,) times -1, 0 or +1; 0 where a magnitude is below `p["threshold"]` (1,).

    Scale s belongs to a row or a position of the kernel. A file has one scale per output channel at most, so S scales
    are S whole numbers times one, and a code names sign and number: 2S + 1 levels in a table. With S = 1, plain signs.

    Args:
        bits: 1 for -1 and +1, 2 for -1, 0 and +1.
        signed: true; signs are for weights.
        axes: of the kernel (KH, KW), along which scales differ.
        scales: S, the most that a kernel may need.
    Raises: QuantizerError for other bits.
    """

    bits: int
    signed: bool
    axes: tuple[int, ...] = ()
    scales: int = 1

    def __post_init__(self) -> None:
        if self.bits not in (1, 2) or not self.signed:
            raise QuantizerError(f"signs have 1 bit, or 2 with a zero, and are for weights, got {self.bits} bits")

    @property
    def code_bits(self) -> int:
        """Bit-width of a stored code."""
        return self.bits if self.scales == 1 else math.ceil(math.log2(2 * self.scales + 1))

    def position(self, x: Tensor) -> Tensor:
        """Index of the scale of every weight, int64, broadcastable to x.

        Raises: QuantizerError for a kernel that has more positions than scales.
        """
        kernel = x.shape[2:]
        sizes = [kernel[axis] if axis in self.axes else 1 for axis in range(len(kernel))]
        count = math.prod(sizes)
        if count > self.scales:
            raise QuantizerError(
                f"a kernel of {' x '.join(map(str, kernel))} needs {count} scales, codes of {self.code_bits} bits name "
                f"{self.scales}; give this layer another method"
            )
        return torch.arange(count, device=x.device).reshape(1, 1, *sizes) if kernel else torch.zeros(1, 1).long()

    def sign(self, x: Tensor, p: Parameters) -> Tensor:
        """-1, 0 or +1, shape and type of x; without zeros, zero itself is +1."""
        sign = torch.where(x >= 0, 1.0, -1.0)
        return sign if self.bits == 1 else sign * (x.abs() >= p["threshold"])

    def value(self, x: Tensor, p: Parameters) -> Tensor:
        return self.sign(x, p) * p["scale"][self.position(x)]

    def code(self, x: Tensor, p: Parameters) -> Tensor:
        sign = self.sign(x, p).to(torch.int64)
        if self.scales == 1:
            return (sign + 1) // 2 if self.bits == 1 else torch.bitwise_and(sign, 3)
        return torch.where(sign == 0, 0, 2 * self.position(x) + 1 + (sign < 0))

    def levels(self, p: Parameters) -> basis_ops.Levels:
        """Of one scale, the first. Thresholds send zero up without zeros, and magnitudes on the threshold outwards."""
        scale, edge = p["scale"][:1], p["threshold"].reshape(1)
        lowest = torch.full_like(edge, -torch.inf)
        if self.bits == 1:
            found, between = torch.cat([-scale, scale]), torch.nextafter(torch.zeros_like(edge), lowest)
        else:
            found, between = torch.cat([-scale, 0 * scale, scale]), torch.cat([-edge, torch.nextafter(edge, lowest)])
        return basis_ops.Levels(found[None], between[None], self.code(found[None], {**p, "threshold": scale / 2}))

    def starts_at_zero(self, p: Parameters) -> bool:
        return False

    def encoding(self, p: Parameters) -> tuple[Encoding, np.ndarray]:
        scale = p["unit"].detach().float().reshape(-1).cpu().numpy()
        if self.scales == 1:
            return (Planes(1, np.array([1]), "pm") if self.bits == 1 else Affine(2, True)), scale
        table = np.zeros(2**self.code_bits, np.int16)
        whole = p["integer"].cpu().numpy().astype(np.int16)
        table[1 : 2 * self.scales : 2], table[2 : 2 * self.scales + 1 : 2] = whole, -whole
        return Table(self.code_bits, table), scale


class SymmetricScales(Rule):
    """Scales α that are trained by gradient descent, and a threshold η·max|w| that follows the weights.

    The parameter is log α: α stays positive, and an optimizer that takes even steps changes it in proportion. Start:
    mean magnitude of the kept weights that share a scale. After `finish` scales are whole numbers times one, with a
    straight-through gradient.

    Args:
        grid: where the levels lie.
        grains: 1.
        sample_axis: not used; the method is for weights.
    Raises: QuantizerError for another grid.
    Source: Faraone et al., "SYQ", CVPR 2018. Differs: log α, the start without zeros, whole-number ratios in the end.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Signs):
            raise QuantizerError(f"symmetric scales have a grid of signs, got {grid}")
        self.grid, self.gradient_scale, self.snapped = grid, 1.0, False
        self.log_scale = nn.Parameter(torch.zeros(grid.scales))
        self.threshold: Tensor
        self.register_buffer("threshold", torch.zeros(1))

    @property
    def scale(self) -> Tensor:
        """α, (S,)."""
        return self.log_scale.exp()

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Threshold and scales for the weights x; a scale that no weight uses gets the mean of the others."""
        self.follow(x.float())
        kept, magnitude = self.grid.sign(x, {"threshold": self.threshold}).abs(), x.detach().float().abs()
        index = self.grid.position(x).expand(x.shape).flatten()
        counts = torch.zeros_like(self.scale).index_add_(0, index, kept.flatten())
        sums = torch.zeros_like(self.scale).index_add_(0, index, (kept * magnitude).flatten())
        mean = torch.where(counts > 0, sums / counts.clamp_min(1), sums.sum() / counts.sum().clamp_min(1))
        self.log_scale.copy_(mean.clamp_min(SMALLEST_SCALE).log())

    @torch.no_grad()
    def follow(self, weight: Tensor) -> None:
        self.threshold.fill_(THRESHOLD * float(weight.abs().max()))

    def parameters_of_grid(self) -> Parameters:
        if not self.snapped:
            return {"scale": self.scale, "threshold": self.threshold}
        final = self.final_parameters()
        return {**final, "scale": with_gradient_of(final["scale"], self.scale)}

    @torch.no_grad()
    def final_parameters(self) -> Parameters:
        """Whole numbers (S,) times one unit (1,); a single scale is its own unit."""
        scale = self.scale
        unit = scale if self.grid.scales == 1 else basis_ops.to_16_bits(scale.max().reshape(1) / LARGEST)
        whole = torch.round(scale / unit).clamp(1, LARGEST)
        return {"scale": whole * unit, "integer": whole, "unit": unit, "threshold": self.threshold}

    @torch.no_grad()
    def snap_error(self) -> float:
        """Largest distance between a scale and its whole-number form, as a share of the range of levels."""
        distance = (self.final_parameters()["scale"] - self.scale).abs().max()
        return float(distance / (2 * self.scale.max()))

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep scales where float32 has room below them."""
        self.log_scale.clamp_(min=math.log(SMALLEST_SCALE))

    def finish(self) -> None:
        self.snapped = True


def scaled(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """SYQ: ∂x̂/∂α is the sign; ∂x̂/∂w = α where the level is not 0, and 1 where it is, so that no weight stays dead."""
    if not isinstance(grid, Signs):
        raise QuantizerError(f"the scaled surrogate has a grid of signs, got {grid}")
    wide = x.float()
    sign, scale = grid.sign(wide.detach(), p), p["scale"][grid.position(x)]
    gain = torch.where(sign == 0, 1.0, scale.detach())
    value = (sign * scale).detach()
    return with_gradient_of(value, sign * scale + gain * wide).to(x.dtype)
