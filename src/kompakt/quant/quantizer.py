"""The quantizer: grid x rule x surrogate x bits on a grain. One final class; methods differ in the parts they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar, final

import numpy as np
import torch
from torch import Tensor, nn

from .._core.errors import QuantizerError, nearest
from ..encoding import Encoding, levels
from ..ops import data_free, steps
from .additive_powers import AdditivePowers, clip_aware
from .alternating_basis import AlternatingBasis
from .assigned_bits import Assigned, assigned
from .calibrated_step import CalibratedStep
from .friendly_clusters import FriendlyClusters
from .grids import Basis, Codebook, Grid, MidRise, Offset, Uniform
from .joint_steps import JointSteps
from .learned_bits import Interpolated, LearnedBits, interpolated
from .learned_clip import LearnedClip
from .learned_offset import LearnedOffset
from .learned_step import LearnedStep
from .moment_clip import MomentClip
from .nested_clusters import NestedClusters
from .nested_codes import Nested, SharedClip, nested_aware
from .optimal_clusters import OptimalClusters
from .powers_of_two import PowersOfTwo
from .range_levels import RangeLevels
from .ranked_bits import RankedBits
from .relaxed_bits import RelaxedBits
from .rule import Rule
from .single_batch import single_batch_step
from .surrogates import (
    Surrogate,
    clip_only,
    clipped,
    offset_aware,
    postponed,
    saturated,
    step_aware,
    straight_through,
)
from .symmetric_scales import Signs, SymmetricScales, scaled
from .two_levels import TwoLevels, two_sided
from .unit_step import UnitStep

Part = TypeVar("Part")

GRIDS: dict[str, Callable[[int, bool], Grid]] = {
    "uniform": Uniform,
    "symmetric": partial(Uniform, symmetric=True),
    "mid_rise": MidRise,
    "offset": Offset,
    "signs": Signs,
    "signs_of_rows": partial(Signs, axes=(0,), scales=3),
    "signs_of_positions": partial(Signs, axes=(0, 1), scales=15),
    "signed": lambda bits, _: Uniform(bits, True),
    "half_up": partial(Uniform, half_up=True),
    "basis": Basis,
    "binary_basis": partial(Basis, is_binary=True),
    "codebook": Codebook,
    "interpolated": Interpolated,
    "assigned": Assigned,
    "nested": Nested,
}
RULES: dict[str, Callable[[Grid, int, bool], Rule]] = {
    "learned_step": LearnedStep,
    "learned_offset": LearnedOffset,
    "learned_clip": LearnedClip,
    "moment_clip": MomentClip,
    "unit_step": UnitStep,
    "symmetric_scales": SymmetricScales,
    "powers_of_two": partial(PowersOfTwo, in_log=True),
    "discrete_powers_of_two": partial(PowersOfTwo, is_discrete=True),
    "additive_powers_of_two": AdditivePowers,
    "two_levels": TwoLevels,
    "alternating_basis": AlternatingBasis,
    "largest_step": partial(CalibratedStep, criterion=steps.largest_step),
    "percentile_step": partial(CalibratedStep, criterion=steps.percentile_step),
    "least_squares_step": partial(CalibratedStep, criterion=steps.least_squares_step),
    "entropy_step": partial(CalibratedStep, criterion=steps.entropy_step),
    "power_of_two_step": partial(CalibratedStep, criterion=steps.power_of_two_step),
    "single_batch_step": single_batch_step,
    "ternary_step": partial(CalibratedStep, criterion=steps.ternary_step),
    "optimal_clusters": OptimalClusters,
    "friendly_clusters": FriendlyClusters,
    "learned_bits": LearnedBits,
    "relaxed_bits": RelaxedBits,
    "ranked_bits": RankedBits,
    "nested_clusters": NestedClusters,
    "joint_steps": JointSteps,
    "shared_clip": SharedClip,
    "affine_levels": partial(RangeLevels, scheme=data_free.affine_levels),
    "power_levels": partial(RangeLevels, scheme=data_free.power_levels),
}
SURROGATES: dict[str, Surrogate] = {
    "step_aware": step_aware,
    "offset_aware": offset_aware,
    "clip_only": clip_only,
    "clip_aware": clip_aware,
    "saturated": saturated,
    "scaled": scaled,
    "two_sided": two_sided,
    "clipped": clipped,
    "straight_through": straight_through,
    "postponed": postponed,
    "interpolated": interpolated,
    "assigned": assigned,
    "nested_aware": nested_aware,
}


WEIGHTS, UNSIGNED, SIGNED = "weights", "unsigned activations", "signed activations"


@dataclass(frozen=True)
class Parts:
    """A method as data: its parts, the grain of its weights, and what it claims.

    Attributes:
        grid, rule, surrogate: names in `GRIDS`, `RULES` and `SURROGATES`; a method of your own may give what such an
            entry is instead.
        bits: bit-widths that the method can do.
        grain: of weights, "tensor", "channel" (one parameter set per output channel), or "row" or "position" of the
            kernel, where a grid names its own; activations are per tensor.
        roles: what the method quantizes: `WEIGHTS`, `UNSIGNED` (activations that are never negative), `SIGNED` ones.
        claims: words of `kompakt.testing.CLAIMS`, each tested on every bit-width.
    """

    grid: str | Callable[[int, bool], Grid]
    rule: str | Callable[[Grid, int, bool], Rule]
    surrogate: str | Surrogate
    grain: str
    bits: tuple[int, ...]
    roles: frozenset[str] = frozenset({WEIGHTS, UNSIGNED, SIGNED})
    claims: frozenset[str] = field(default_factory=frozenset)


def part(table: Mapping[str, Part], choice: str | Part, what: str) -> Part:
    """What a choice means: an entry of the table, or the choice itself. Raises: QuantizerError naming the nearest."""
    if not isinstance(choice, str):
        return choice
    if choice not in table:
        raise QuantizerError(f"no {what} {choice!r}; {nearest(choice, table)}")
    return table[choice]


def role_of(signed: bool, sample_axis: bool) -> str:
    """The role of such values, see `Parts.roles`. Weights are signed."""
    if not sample_axis:
        return WEIGHTS
    return SIGNED if signed else UNSIGNED


@final
class Quantizer(nn.Module):
    """Float in, float out: every value replaced by its level.

    Args:
        parts: the method.
        bits: bit-width of the codes.
        signed: whether levels may be negative.
        grains: 1, or the size of axis 0 of the values (one parameter set each).
        sample_axis: whether axis 0 of the values counts samples (activations).
    Raises: QuantizerError for a bit-width, a grain or a role that the method cannot do.
    """

    rule: Rule

    def __init__(self, parts: Parts, bits: int, signed: bool, grains: int = 1, sample_axis: bool = False) -> None:
        super().__init__()
        if isinstance(bits, bool) or bits not in parts.bits:
            raise QuantizerError(f"bits must be one of {parts.bits} for this method, got {bits!r}")
        if grains < 1 or (sample_axis and grains != 1):
            raise QuantizerError(f"grains must be 1, or the output channels of a weight, got {grains}")
        role = role_of(signed, sample_axis)
        if role not in parts.roles:
            raise QuantizerError(f"this method quantizes {' and '.join(sorted(parts.roles))}, not {role}")
        self.parts, self.bits, self.signed, self.grains = parts, bits, signed, grains
        # An 8-bit signed weight leaves out -128, so that engines may multiply by int8 without a special case.
        self.grid = part(GRIDS, parts.grid, "grid")(bits, signed)
        if isinstance(self.grid, Uniform | Assigned) and bits == 8 and signed and not sample_axis:
            self.grid = replace(self.grid, symmetric=True)
        self.rule = part(RULES, parts.rule, "rule")(self.grid, grains, sample_axis)
        self.surrogate = part(SURROGATES, parts.surrogate, "surrogate")

    def fit(self, x: Tensor) -> None:
        """Set the parameters from data `x` (weights, or a calibration batch of activations).

        Raises: QuantizerError if x is empty, holds NaN or Inf, or has not one entry along axis 0 per grain.
        """
        if x.numel() == 0 or not torch.isfinite(x).all():
            raise QuantizerError(f"cannot fit a quantizer to no values, NaN or Inf (shape {tuple(x.shape)})")
        if self.grains > 1 and (x.dim() < 2 or x.shape[0] != self.grains):
            raise QuantizerError(
                f"{self.grains} grains need values of shape ({self.grains}, ...), got {tuple(x.shape)}"
            )
        self.rule.fit(x)

    def forward(self, x: Tensor) -> Tensor:
        p = self.rule.parameters_of_grid()
        y = self.surrogate(x, self.grid, p, self.rule.gradient_scale)
        if self.training:
            self.rule.observe(x)
        return y

    def finish(self) -> None:
        """From now on the forward pass uses exactly the levels that the file holds."""
        self.rule.finish()

    @torch.no_grad()
    def encoding(self) -> tuple[Encoding, np.ndarray]:
        """The encoding, and one float32 scale per grain."""
        return self.grid.encoding(self.rule.final_parameters())

    @torch.no_grad()
    def starts_at_zero(self) -> bool:
        """Whether the lowest level of the file is 0."""
        return self.grid.starts_at_zero(self.rule.final_parameters())

    @torch.no_grad()
    def thresholds(self) -> tuple[np.ndarray, list[int]]:
        """Thresholds between the sorted levels, float32, and the code of each level; of one grain.

        Raises: QuantizerError for several grains.
        """
        if self.grains != 1:
            raise QuantizerError(f"thresholds belong to one grain, got {self.grains}")
        found = self.grid.levels(self.rule.final_parameters())
        return found.thresholds[0].cpu().numpy(), found.codes[0].tolist()

    @torch.no_grad()
    def encode(self, x: Tensor) -> tuple[np.ndarray, Encoding, np.ndarray]:
        """Codes uint8 (shape of x), their encoding, and one float32 scale per grain."""
        p = self.rule.final_parameters()
        encoding, scale = self.grid.encoding(p)
        return self.grid.code(x.detach().float(), p).cpu().numpy().astype(np.uint8), encoding, scale

    @staticmethod
    def decode(codes: np.ndarray, encoding: Encoding, scale: np.ndarray) -> np.ndarray:
        """Values of codes in the engine's arithmetic, float32(level) * scale; grains along axis 0."""
        level = levels(codes, encoding).astype(np.float32)
        return np.asarray(level * scale.reshape(-1, *[1] * (level.ndim - 1)) if len(scale) > 1 else level * scale[0])
