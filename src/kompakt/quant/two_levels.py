"""Two levels at any place (AdaBin): binary values with a centre and a distance of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..ops.basis import to_16_bits
from ..ops.grains import per_grain, rows_of
from ..ops.sampling import thinned
from ..ops.surrogate import with_gradient_of
from .grids import Codebook, Grid, Parameters
from .rule import Rule

SMALLEST = 1e-6
FIT_VALUES, CENTERS = 100_000, 65
LARGEST = 127


class TwoLevels(Rule):
    """Weights: per grain the levels mean ± deviation, of the weights as they are now; a weight goes to its side.

    Activations: α(β - 1) and α(β + 1), the upper one for x > β; α and β are trained, and start at least squared error.

    After `finish` the two levels of a grain are whole numbers, up to 127, times one scale: the pair whose ratio is
    nearest.

    Args:
        grid: where the levels lie.
        grains: 1, or the size of axis 0 of the weights.
        sample_axis: whether the values are activations.
    Raises: QuantizerError for a grid that is no codebook of 1 bit.
    Source: Tu, Chen, Ren, Wang, "AdaBin", ECCV 2022. Differs: whole-number levels, the start.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Codebook) or grid.bits != 1:
            raise QuantizerError(f"two levels have a codebook of 1 bit, got {grid}")
        self.sample_axis, self.gradient_scale, self.snapped = sample_axis, 1.0, False
        self.center: Tensor
        self.scale: Tensor
        for name, start in {"center": 0.0, "scale": 1.0}.items():
            values = torch.full((grains,), start)
            if sample_axis:
                self.register_parameter(name, nn.Parameter(values))
            else:
                self.register_buffer(name, values)

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """α and β of least squared error, β among the quantiles of x; of weights their mean and deviation."""
        if not self.sample_axis:
            self.follow(x)
            return
        values = thinned(x.detach().float(), FIT_VALUES).flatten()
        centers = values.quantile(torch.linspace(0, 1, CENTERS, device=x.device))
        found = [_best_scale(values, center) for center in centers]
        best = int(torch.stack([error for _, error in found]).argmin())
        self.center.copy_(centers[best])
        self.scale.copy_(found[best][0])
        self.after_step()

    @torch.no_grad()
    def follow(self, weight: Tensor) -> None:
        rows = rows_of(weight.float(), len(self.center))
        self.center.copy_(rows.mean(1))
        self.scale.copy_((rows - self.center[:, None]).square().mean(1).sqrt().clamp_min(SMALLEST))

    def parameters_of_grid(self) -> Parameters:
        """What `Codebook` wants, and of activations "scale" α and "center" β with their gradients."""
        p = self.final_parameters() if self.snapped else self._learned()
        if self.sample_axis:
            p |= {"alpha": self.scale, "beta": self.center}
        return p

    @torch.no_grad()
    def _learned(self) -> Parameters:
        signs = torch.tensor([[-1.0, 1.0]], device=self.scale.device)
        center, scale = self.center.detach()[:, None], self.scale.detach()[:, None]
        levels = scale * (signs + center) if self.sample_axis else center + scale * signs
        return {"levels": levels, "thresholds": center}

    @torch.no_grad()
    def final_parameters(self) -> Parameters:
        """Levels (G, 2), whole numbers times the scale (G, 1), and thresholds (G, 1)."""
        learned = self._learned()
        whole, scale = whole_pair(learned["levels"])
        return {**learned, "levels": whole * scale, "integer": whole, "scale": scale}

    @torch.no_grad()
    def snap_error(self) -> float:
        """Largest distance between a level and its whole-number form, as a share of the range of levels."""
        learned = self._learned()["levels"]
        distance = (self.final_parameters()["levels"] - learned).abs().amax(1)
        return float((distance / (learned[:, 1] - learned[:, 0]).clamp_min(SMALLEST)).max())

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep α above a floor."""
        if self.sample_axis:
            self.scale.clamp_(min=SMALLEST)

    def finish(self) -> None:
        self.snapped = True


def whole_pair(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers (G, 2) of at most 127 and a scale (G, 1), whose products are nearest to `levels` (G, 2).

    All sizes of the larger number are tried, each with the scale of least squared error.
    """
    larger = levels.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny * 2**24)
    shares = (levels / larger)[:, :, None]
    sizes = torch.arange(1, LARGEST + 1, device=levels.device, dtype=levels.dtype)
    whole = torch.round(shares * sizes)
    scales = ((whole * shares).sum(1) / whole.square().sum(1).clamp_min(1)).clamp_min(SMALLEST)
    best = (whole * scales[:, None] - shares).square().sum(1).argmin(1)[:, None]
    pairs = whole.gather(2, best[:, :, None].expand(-1, 2, 1))[:, :, 0]
    return pairs, to_16_bits(scales.gather(1, best) * larger)


def _best_scale(values: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
    """α of least squared error for this β, and the error."""
    shape = torch.where(values > center, 1.0, -1.0) + center
    scale = (values @ shape / (shape @ shape).clamp_min(SMALLEST)).clamp_min(SMALLEST)
    return scale, (values - scale * shape).square().sum()


def two_sided(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """AdaBin: weights ∂x̂/∂w = 1. Activations: sign(v), v = (x - β) / α, has the gradient of hard tanh, so that
    ∂x̂/∂x = 1 for |v| < 1, else 0; ∂x̂/∂α = sign(v) + β, less v where |v| < 1; ∂x̂/∂β = α, less 1 where |v| < 1.
    """
    wide = x.float()
    value = grid.value(wide.detach(), p)
    if "alpha" not in p:
        return with_gradient_of(value, wide).to(x.dtype)
    alpha, beta = per_grain(p["alpha"], x), per_grain(p["beta"], x)
    soft = torch.clamp((wide - beta) / alpha, -1, 1)
    sign = torch.where(wide > beta, 1.0, -1.0)
    return with_gradient_of(value, alpha * (with_gradient_of(sign, soft) + beta)).to(x.dtype)
