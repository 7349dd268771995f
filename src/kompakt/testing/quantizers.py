"""The contract of quantizers, on every bit-width, sign and grain that a method can do."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from .._core.errors import QuantizerError
from ..quant import Parts, Quantizer
from ..quant.quantizer import SIGNED, UNSIGNED, WEIGHTS
from .contract import refuses, run_clauses

GRAINS, VALUES = 3, 500


@dataclass(frozen=True)
class QuantizerCase:
    """One way to use a method.

    Attributes:
        signed: whether levels may be negative.
        grains: parameter sets; more than one only for weights.
        sample_axis: whether the values are activations, (N, C, H, W), instead of weights (O, I).
    """

    parts: Parts
    bits: int
    signed: bool
    grains: int
    sample_axis: bool

    def __str__(self) -> str:
        role = "activations" if self.sample_axis else "weights"
        sign = "signed" if self.signed else "unsigned"
        rule = self.parts.rule if isinstance(self.parts.rule, str) else getattr(self.parts.rule, "__name__", "own rule")
        return f"{rule}, {self.bits} bits, {sign} {role}, {self.grains} grains"

    def values(self, seed: int = 0) -> Tensor:
        """Values as such a quantizer meets them: normal, rectified if unsigned, every grain with its own spread."""
        generator = torch.Generator().manual_seed(seed)
        shape = (4, 5, 5, 5) if self.sample_axis else (GRAINS, VALUES)
        x = torch.randn(shape, generator=generator)
        if not self.sample_axis:
            x = x * torch.linspace(0.2, 2, GRAINS)[:, None]
        return x if self.signed else x.clamp_min(0)

    def make(self) -> Quantizer:
        """A new quantizer, not fitted."""
        return Quantizer(self.parts, self.bits, self.signed, self.grains, self.sample_axis)

    def fitted(self) -> Quantizer:
        """A quantizer fitted to `values()`, finished, in evaluation mode."""
        quantizer = self.make()
        quantizer.fit(self.values())
        quantizer.finish()
        return quantizer.eval()


def quantizer_cases(parts: Parts, bits: Iterable[int] | None = None) -> list[QuantizerCase]:
    """Every way to use a method: for weights on its grain, and for activations of every sign that it takes."""
    grains = GRAINS if parts.grain == "channel" else 1
    ways = {WEIGHTS: (True, grains, False), UNSIGNED: (False, 1, True), SIGNED: (True, 1, True)}
    return [
        QuantizerCase(parts, b, *way)
        for b in (parts.bits if bits is None else bits)
        for role, way in ways.items()
        if role in parts.roles
    ]


class QuantizerContract:
    """Inherit and give a fixture `case`: a QuantizerCase."""

    def test_decoded_codes_are_the_forward_values(self, case: QuantizerCase) -> None:
        quantizer, x = case.fitted(), case.values(1)
        codes, encoding, scale = quantizer.encode(x)
        decoded, forward = quantizer.decode(codes, encoding, scale), quantizer(x).detach().numpy()
        distance = float(np.abs(decoded - forward).max())
        assert distance == 0, f"decode(encode(x)) is off by {distance}"

    def test_values_are_levels_and_no_more_than_codes(self, case: QuantizerCase) -> None:
        quantizer = case.fitted()
        encoding, scale = quantizer.encoding()
        # Grains that a file does not have are written into its codes, which are wider then.
        is_stored = case.parts.grain in ("tensor", "channel")
        assert encoding.bits == case.bits or not is_stored, f"encoding has {encoding.bits} bits"
        assert scale.shape == (case.grains,), f"one scale per grain expected, got shape {scale.shape}"
        assert scale.dtype == np.float32 and (scale > 0).all(), "scales must be positive float32"  # noqa: PT018
        y = quantizer(case.values(2)).detach().reshape(case.grains, -1)
        for grain, row in enumerate(y.numpy()):
            found = np.unique(row)
            table = encoding.table()[grain if encoding.grains > 1 else 0] * scale[grain]
            assert len(found) <= 2**case.bits, f"{len(found)} distinct values in grain {grain}"
            assert np.isin(found, table).all(), f"{found[~np.isin(found, table)][0]} in grain {grain} is no level"

    def test_shape_and_type_are_kept(self, case: QuantizerCase) -> None:
        quantizer, x = case.fitted(), case.values(1)
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            y = quantizer(x.to(dtype))
            assert (y.shape, y.dtype) == (x.shape, dtype), f"got {tuple(y.shape)} {y.dtype} from {dtype}"
            assert torch.equal(y, quantizer(x.to(dtype).float()).to(dtype)), f"{dtype} is not computed in float32"

    def test_layout_does_not_matter_and_the_argument_stays(self, case: QuantizerCase) -> None:
        quantizer, x = case.fitted(), case.values(1)
        turned = x.transpose(0, -1).contiguous().transpose(0, -1)
        before = turned.clone()
        assert torch.equal(quantizer(turned), quantizer(x)), "another memory layout gives other values"
        assert torch.equal(turned, before), "the argument was changed"

    def test_claims_hold(self, case: QuantizerCase) -> None:
        unknown = set(case.parts.claims) - set(CLAIMS)
        assert not unknown, f"unknown claims {sorted(unknown)}; known: {sorted(CLAIMS)}"
        for claim in case.parts.claims:
            CLAIMS[claim](case)

    def test_gradients_reach_values_and_every_parameter(self, case: QuantizerCase) -> None:
        # Twice as large as what it was fitted to: a learned clip or offset learns from values beyond the range.
        quantizer, x = case.fitted().train(), (2 * case.values(1)).requires_grad_()
        weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
        (quantizer(x) * weight).sum().backward()
        for name, tensor in [("values", x), *quantizer.named_parameters()]:
            assert tensor.grad is not None, f"no gradient reaches {name}"
            assert torch.isfinite(tensor.grad).all() and tensor.grad.any(), f"gradient of {name} is {tensor.grad}"  # noqa: PT018

    def test_evaluation_changes_no_state(self, case: QuantizerCase) -> None:
        quantizer = case.fitted()
        before = copy.deepcopy(quantizer.state_dict())
        quantizer(case.values(4))
        quantizer.encode(case.values(5))
        after = quantizer.state_dict()
        assert all(torch.equal(value, after[key]) for key, value in before.items()), "evaluation changed the state"

    def test_state_restores_values_and_gradients(self, case: QuantizerCase) -> None:
        quantizer, other = case.fitted().train(), case.make().train()
        other.load_state_dict(quantizer.state_dict())
        other.finish()
        results = []
        for q in (quantizer, other):
            x = case.values(1).requires_grad_()
            y = q(x)
            (y * y).sum().backward()
            results.append([y, x.grad, *(p.grad for p in q.parameters()), *q.state_dict().values()])
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True)), "a restored quantizer behaves differently"

    def test_parameters_stay_legal_after_a_wild_step(self, case: QuantizerCase) -> None:
        quantizer = case.fitted()
        with torch.no_grad():
            for parameter in quantizer.parameters():
                parameter.sub_(100.0)
        quantizer.rule.after_step()
        y = quantizer(case.values(1))
        assert torch.isfinite(y).all(), "values are not finite after a step past zero"
        assert (quantizer.encoding()[1] > 0).all(), "scales are not positive after a step past zero"

    def test_training_hooks_keep_values_and_levels_legal(self, case: QuantizerCase) -> None:
        quantizer = case.fitted().train()
        weight = None if case.sample_axis else case.values(1).requires_grad_()
        penalty = quantizer.rule.penalty(weight)
        if penalty is not None:
            assert penalty.dim() == 0 and torch.isfinite(penalty) and penalty >= 0, f"penalty is {penalty}"  # noqa: PT018
        if weight is not None:
            shape = weight.shape
            with torch.no_grad():
                quantizer.rule.follow(weight.mul_(3))
            assert weight.shape == shape and torch.isfinite(weight).all(), "following left no legal weight"  # noqa: PT018
            codes, encoding, scale = quantizer.eval().encode(weight)
            decoded = quantizer.decode(codes, encoding, scale)
            assert np.array_equal(decoded, quantizer(weight).detach().numpy()), "codes decode otherwise then"

    def test_dead_and_constant_data_give_finite_values(self, case: QuantizerCase) -> None:
        for value in (0.0, 1e-20, 0.7):
            quantizer, x = case.make().train(), torch.full_like(case.values(), value)
            quantizer.fit(x)
            for _ in range(3):
                assert torch.isfinite(quantizer(x)).all(), f"values are not finite for data of {value} alone"
            quantizer.finish()
            codes, encoding, scale = quantizer.encode(x)
            assert np.isfinite(quantizer.decode(codes, encoding, scale)).all(), f"decoded {value} is not finite"

    def test_wrong_settings_and_values_are_refused(self, case: QuantizerCase) -> None:
        for bits in (0, -1, 9, 2.5, "2", True, None):
            wrong = QuantizerCase(case.parts, bits, case.signed, case.grains, case.sample_axis)  # type: ignore[arg-type]
            refuses(wrong.make, QuantizerError, f"bits {bits!r}")
        with_nan, with_inf = case.values(), case.values()
        with_nan.view(-1)[7], with_inf.view(-1)[7] = torch.nan, torch.inf
        unfit = {"NaN": with_nan, "Inf": with_inf, "no values": with_nan[:0]}
        if case.grains > 1:
            unfit["too few grains"] = case.values()[1:]
        for what, values in unfit.items():
            refuses(partial(case.make().fit, values), QuantizerError, f"fit to {what}")


def check_quantizer(parts: Parts, bits: Iterable[int] | None = None) -> None:
    """Run the contract on every way to use a method.

    Args:
        parts: the method, e.g. `kompakt.quant.METHODS["lsq"]`.
        bits: bit-widths to check; by default all that the method names.
    Raises: AssertionError naming bits, sign, grain and the broken clause.
    """
    for case in quantizer_cases(parts, bits):
        run_clauses(QuantizerContract(), case)


def _is_idempotent(case: QuantizerCase) -> None:
    quantizer = case.fitted()
    y = quantizer(case.values(1))
    assert torch.equal(quantizer(y), y), "not idempotent: Q(Q(x)) differs from Q(x)"


def _is_monotone(case: QuantizerCase) -> None:
    quantizer, x = case.fitted(), case.values(1)
    rows = x.reshape(case.grains, -1).sort(dim=1).values
    y = quantizer(rows.reshape(x.shape)).reshape(case.grains, -1)
    assert (y.diff(dim=1) >= 0).all(), "not monotone: a larger value has a smaller level"


def _has_zero(case: QuantizerCase) -> None:
    y = case.fitted()(torch.zeros_like(case.values()))
    assert not y.any(), f"no zero: Q(0) = {float(y.abs().max())}"


def _is_odd(case: QuantizerCase) -> None:
    quantizer, x = case.fitted(), case.values(1)
    assert not case.signed or torch.equal(quantizer(-x), -quantizer(x)), "not odd: Q(-x) differs from -Q(x)"


def _is_scale_equivariant(case: QuantizerCase) -> None:
    scaled = case.make()
    scaled.fit(4 * case.values())
    scaled.finish()
    expected = 4 * case.fitted()(case.values())
    torch.testing.assert_close(scaled.eval()(4 * case.values()), expected, msg="not scale-equivariant")


def _is_dyadic(case: QuantizerCase) -> None:
    mantissa, _ = np.frexp(case.fitted().encoding()[1])
    assert (mantissa == 0.5).all(), "not dyadic: a scale is no power of two"


def _is_nested(case: QuantizerCase) -> None:
    deepest = replace(case, bits=max(case.parts.bits)).make()
    quantizer, x = case.make(), case.values()
    quantizer.fit(x)
    deepest.rule = quantizer.rule  # what several bit-widths share
    expected = deepest.encode(x)[0] >> (deepest.bits - case.bits)
    assert np.array_equal(quantizer.encode(x)[0], expected), "not nested: codes are not the first bits of longer ones"


CLAIMS: dict[str, Callable[[QuantizerCase], None]] = {
    "idempotent": _is_idempotent,
    "monotone": _is_monotone,
    "has_zero": _has_zero,
    "odd": _is_odd,
    "dyadic": _is_dyadic,
    "scale_equivariant": _is_scale_equivariant,
    "nested": _is_nested,
}
"""What a method may claim beyond the contract, and the check of it."""
