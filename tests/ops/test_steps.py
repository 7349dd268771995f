"""Criteria for steps: printed optima, exhaustive search, and what each promises."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kompakt.ops import steps, uniform

CRITERIA = [
    steps.largest_step, steps.percentile_step, steps.least_squares_step, steps.searched_step, steps.entropy_step,
]  # fmt: skip


def gaussian(count: int = 200_000) -> torch.Tensor:
    """N(0, 1) without sampling noise, (1, count)."""
    return torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count).float()[None]


def laplace(count: int = 200_000) -> torch.Tensor:
    """A Laplace distribution of unit variance without sampling noise, (1, count)."""
    u = (torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5
    return (-u.sign() * torch.log1p(-2 * u.abs()) / np.sqrt(2)).float()[None]


def error(x: torch.Tensor, step: torch.Tensor, lo: int, hi: int) -> torch.Tensor:
    return ((torch.clamp(torch.round(x / step[:, None]), lo, hi) * step[:, None] - x) ** 2).mean(1)


@pytest.mark.parametrize(
    ("data", "bits", "symmetric", "step", "mse"),
    [
        (gaussian, 2, False, 1.0484, 0.149429), (gaussian, 2, True, 1.2240, 0.190172),
        (gaussian, 3, False, 0.6018, 0.040636), (gaussian, 3, True, 0.6508, 0.046858),
        (gaussian, 4, False, 0.3386, 0.011862), (gaussian, 4, True, 0.3534, 0.012888),
        (gaussian, 5, True, 0.1932, 0.003692),
        (laplace, 2, False, 1.2141, 0.206974), (laplace, 2, True, 1.4142, 0.264220),
        (laplace, 4, False, 0.4676, 0.025244), (laplace, 4, True, 0.4869, 0.027379),
    ],
)  # fmt: skip
def test_the_best_steps_of_known_distributions(data, bits, symmetric, step, mse):
    """Card "low-bit MMSE", section 7."""
    lo, hi = uniform.limits(bits, True, symmetric)
    found = steps.least_squares_step(data(), lo, hi)
    assert float(found) == pytest.approx(step, rel=0.02)  # the optimum is flat
    assert float(error(data(), found, lo, hi)) == pytest.approx(mse, rel=2e-3)


@pytest.mark.parametrize(
    ("bits", "step", "relative"), [(2, 0.6508, 0.046858), (3, 0.3534, 0.012888), (4, 0.1932, 0.003692)]
)
def test_the_best_steps_of_rectified_values(bits, step, relative):
    x = gaussian().clamp_min(0)
    lo, hi = uniform.limits(bits, False)
    found = steps.least_squares_step(x, lo, hi)
    assert float(found) == pytest.approx(step, rel=0.02)
    assert float(error(x, found, lo, hi) / x.square().mean()) == pytest.approx(relative, rel=3e-3)


def exact_least_error(x: np.ndarray, lo: int, hi: int) -> float:
    """Rounding changes only where |x| = step · (k + 1/2): the best step for the codes of every interval."""
    breaks = sorted({abs(v) / (k + 0.5) for v in x if v for k in range(max(hi, -lo))}, reverse=True)
    best = float((x**2).sum())
    for a, b in itertools.pairwise([breaks[0] * 2, *breaks, breaks[-1] / 2]):
        t = np.clip(np.rint(x / ((a + b) / 2)), lo, hi)
        if t.any():
            step = max((x * t).sum() / (t * t).sum(), 1e-12)
            t = np.clip(np.rint(x / step), lo, hi)
            best = min(best, float(((t * step - x) ** 2).sum()))
    return best / len(x)


@given(seed=st.integers(0, 2**32 - 1), bits=st.integers(2, 4), size=st.integers(9, 40))
def test_the_least_squares_step_is_nearly_the_best_of_all(seed, bits, size):
    lo, hi = uniform.limits(bits, True)
    x = torch.randn(1, size, generator=torch.Generator().manual_seed(seed))
    found = float(error(x, steps.least_squares_step(x, lo, hi), lo, hi))
    assert found <= 1.1 * exact_least_error(x[0].double().numpy(), lo, hi) + 1e-7


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 8))
def test_ternary_is_the_best_of_all_vectors(seed, size):
    """Card "TNT", tests 1 and 4: brute force over 3^N; the error is 1 - cos²."""
    x = torch.randn(1, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    every = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=size)), dtype=torch.float64)
    every = every[every.any(1)]
    cosine = float(((every @ x[0]) / (every.norm(dim=1) * x.norm())).max())
    step = steps.ternary_step(x, -1, 1).double()
    relative = float(error(x, step, -1, 1) / x.square().mean())
    assert relative == pytest.approx(1 - cosine**2, abs=1e-6)


@pytest.mark.parametrize(("data", "kept", "relative"), [(gaussian, 0.540, 0.1903), (laplace, 0.367, 0.2643)])
def test_ternary_of_known_distributions(data, kept, relative):
    """Card "TNT", section 10."""
    step = steps.ternary_step(data(), -1, 1)
    assert float((torch.round(data() / step).clamp(-1, 1) != 0).float().mean()) == pytest.approx(kept, abs=2e-3)
    assert float(error(data(), step, -1, 1)) == pytest.approx(relative, abs=5e-4)


@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(1e-3, 1e3))
def test_ternary_follows_the_scale_of_the_data(seed, factor):
    x = torch.randn(3, 50, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(steps.ternary_step(x * factor, -1, 1), steps.ternary_step(x, -1, 1) * factor)


def test_one_large_weight_is_kept_alone():
    """Card "TNT", trap 2: M = 1 is a candidate."""
    assert float(steps.ternary_step(torch.tensor([[9.0, 0.1, -0.1]]), -1, 1)) == 9.0


def test_ternary_refuses_other_grids():
    with pytest.raises(ValueError, match="-1, 0, 1"):
        steps.ternary_step(torch.ones(1, 3), -2, 1)


def test_min_max_clips_nothing_and_percentile_clips_its_share():
    x = torch.randn(2, 100_000, generator=torch.Generator().manual_seed(0))
    assert (x.abs().amax(1) <= steps.largest_step(x, -127, 127) * 127 * (1 + 1e-6)).all()
    clipped = (x.abs() > steps.percentile_step(x, -127, 127)[:, None] * 127 * (1 + 1e-6)).float().mean(1)
    assert (clipped <= 1.0001e-4).all()
    assert (clipped >= 5e-5).all()


def test_entropy_cuts_far_outliers_and_keeps_even_data():
    body = torch.randn(1, 50_000, generator=torch.Generator().manual_seed(0))
    with_outlier = torch.cat([body, torch.tensor([[100.0]])], 1)
    assert float(steps.entropy_step(with_outlier, -127, 127)) * 127 < 20
    assert float(steps.entropy_step(body.clamp_min(0), 0, 255)) * 255 > 3  # half of them zero
    even = torch.linspace(0, 1, 50_000)[None]
    assert float(steps.entropy_step(even, 0, 255)) * 255 > 0.95


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(("lo", "hi"), [(-128, 127), (0, 255), (-2, 1), (0, 3)])
def test_every_row_is_on_its_own_and_dead_rows_are_legal(criterion, lo, hi):
    x = torch.randn(4, 400, generator=torch.Generator().manual_seed(3)) * torch.tensor([[1.0], [9.0], [0.0], [1e-30]])
    x = x if lo < 0 else x.clamp_min(0)
    found = criterion(x, lo, hi)
    assert found.shape == (4,)
    assert (found > 0).all() and torch.isfinite(found).all()  # noqa: PT018
    torch.testing.assert_close(found[1:2], criterion(x[1:2], lo, hi))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_search_over_some_values_of_a_long_row_loses_nothing(bits, monkeypatch):
    x = torch.randn(1, 150_000, generator=torch.Generator().manual_seed(bits)).abs() ** 1.5
    found = steps.least_squares_step(x, 0, 2**bits - 1)
    monkeypatch.setattr(steps, "COARSE", x.numel())
    torch.testing.assert_close(found, steps.least_squares_step(x, 0, 2**bits - 1), rtol=2e-3, atol=0)
