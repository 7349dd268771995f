"""Additive powers of two (APoT): levels that are sums of powers, a learned clip, normalised weights."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError
from ..ops.grains import per_grain
from ..ops.sampling import thinned
from ..ops.surrogate import scale_gradient, with_gradient_of
from .grids import Codebook, Grid, Parameters
from .rule import FittedScale

# A magnitude takes one number of every term and is their sum; in units of its smallest power.
TERMS = {
    1: ((0, 1),),
    2: ((0, 1, 2, 4),),
    3: ((0, 1, 4, 8), (0, 2)),
    4: ((0, 2, 8, 32), (0, 1, 4, 16)),
}
SMALLEST = 1e-6  # of a clip and of a standard deviation
FIT_VALUES, CLIPS = 100_000, 80


def magnitudes(bits: int) -> tuple[int, ...]:
    """The 2^bits magnitudes, ascending whole numbers. Raises: QuantizerError outside 1 to 4 bits."""
    if bits not in TERMS:
        raise QuantizerError(f"additive powers of two have magnitudes of 1 to {max(TERMS)} bits, got {bits}")
    return tuple(sorted(sum(parts) for parts in itertools.product(*TERMS[bits])))


class AdditivePowers(FittedScale):
    """Levels ±clip · m / m_max for the magnitudes m of `bits` bits, sign included; the clip is trained.

    Weights are normalised first: a weight's level is that of (w - mean) / deviation · unit, with mean and deviation of
    the weights as they are now. `unit` is the deviation of the first weights, so that a trained network keeps its
    scale; it is 1 where no such network was there. Activations are levels as they are.

    Start: least squared error. Gradient scale: that of LSQ for a step, carried over to the clip.

    Args:
        grid: where the levels lie.
        grains: 1.
        sample_axis: whether the values are activations.
    Raises: QuantizerError for a grid that is no codebook, or other bits.
    Source: Li, Dong, Wang, "Additive Powers-of-Two Quantization", ICLR 2020. Differs: unit, start, gradient scale.
    """

    def __init__(self, grid: Grid, grains: int, sample_axis: bool) -> None:
        super().__init__()
        if not isinstance(grid, Codebook):
            raise QuantizerError(f"additive powers of two have a codebook, got {grid}")
        self.signed, self.sample_axis = grid.signed, sample_axis
        positive = list(magnitudes(grid.bits - grid.signed))
        # The largest level of both signs also takes the code that is left over.
        self.whole = [-m for m in positive[:0:-1]] + positive + positive[-1:] if grid.signed else positive
        self.clip = nn.Parameter(torch.ones(grains))
        self.mean: Tensor
        self.deviation: Tensor
        self.unit: Tensor
        for name, start in {"mean": 0.0, "deviation": 1.0, "unit": 1.0}.items():
            self.register_buffer(name, torch.full((grains,), start))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Mean, deviation and the clip of least squared error on x."""
        if not self.sample_axis:
            self.follow(x)
            self.unit.copy_(self.deviation)
        self.clip.copy_(self._searched_clip(thinned(x.detach().float(), FIT_VALUES).flatten() - self.mean))
        count = x[0].numel() if self.sample_axis else x.numel()
        steps = len(set(map(abs, self.whole))) - 1
        self.gradient_scale = steps**1.5 / count**0.5

    def _searched_clip(self, values: Tensor) -> Tensor:
        largest = values.abs().max().clamp_min(SMALLEST)
        clips = largest * torch.arange(1, CLIPS + 1, device=values.device) / CLIPS
        level = torch.tensor(self.whole, device=values.device) / max(self.whole)
        errors = [_squared_error(values, level * clip) for clip in clips]
        return clips[int(torch.stack(errors).argmin())]

    @torch.no_grad()
    def follow(self, weight: Tensor) -> None:
        wide = weight.float()
        self.mean.fill_(wide.mean())
        self.deviation.fill_(wide.std(correction=min(1, wide.numel() - 1)).clamp_min(SMALLEST))

    def parameters_of_grid(self) -> Parameters:
        """What `Codebook` wants, thresholds on float weights; "clip" with its gradient; of weights "mean", "gain"."""
        found = {**self.final_parameters(), "clip": self.clip}
        return found if self.sample_axis else {**found, "mean": self.mean, "gain": self.unit / self.deviation}

    @torch.no_grad()
    def final_parameters(self) -> Parameters:
        """Levels (1, L), whole numbers times the scale (1, 1), and thresholds (1, L - 1)."""
        whole = torch.tensor(self.whole, dtype=torch.float32, device=self.clip.device)[None]
        scale = (self.clip.detach() / max(self.whole))[:, None]
        middles = (whole[:, :-1] + whole[:, 1:]) / 2 * scale
        thresholds = self.mean[:, None] + middles * (self.deviation / self.unit)[:, None]
        return {"levels": whole * scale, "thresholds": thresholds, "integer": whole, "scale": scale}

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep the clip above a floor."""
        self.clip.clamp_(min=SMALLEST)


def _squared_error(values: Tensor, levels: Tensor) -> Tensor:
    index = torch.bucketize(values, (levels[:-1] + levels[1:]) / 2)
    return (values - levels[index]).square().sum()


def clip_aware(x: Tensor, grid: Grid, p: Parameters, gradient_scale: float) -> Tensor:
    """APoT: with v = (x - mean) · gain, the gradient of clip · round(v / clip), straight through the rounding.

    Inside the clip ∂x̂/∂v = 1 and ∂x̂/∂clip = (x̂ - v) / clip; outside 0 and the sign of the level.
    """
    if "clip" not in p:
        raise QuantizerError(f"the clip-aware surrogate needs a clip, got {', '.join(p)}")
    wide, clip = x.float(), per_grain(scale_gradient(p["clip"], gradient_scale), x)
    value, one = grid.value(wide.detach(), p), 1 / clip  # a division for every value would cost a tenth of a step
    normalised = (wide - per_grain(p["mean"], x)) * per_grain(p["gain"], x) if "gain" in p else wide
    share = torch.clamp(normalised * one, -1.0 if grid.signed else 0.0, 1.0)
    return with_gradient_of(value, with_gradient_of(value * one, share) * clip).to(x.dtype)
