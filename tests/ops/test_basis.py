"""The basis grid against its definition in float64, and the published and derived numbers of LQ-Nets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kompakt.ops import basis as ops

DIGITS = ("pm", "01")
C = 0.6745  # the 0.75 quantile of N(0, 1)


def normal_quantiles(count: int = 400_000) -> Tensor:
    """N(0, 1) without sampling noise: the midpoints of `count` equally likely intervals, float64."""
    return torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)


def published_start(bits: int, digits: str) -> Tensor:
    """Card, section 4.2, for unit spread: weights v_j = 2^j c / 2^(K-1), activations v_j = 2^j 2c / (2^K - 1)."""
    powers = 2.0 ** torch.arange(bits, dtype=torch.float64)
    return (powers * (C / 2 ** (bits - 1) if digits == "pm" else 2 * C / (2**bits - 1)))[None]


def brute_levels(basis: np.ndarray, digits: str) -> np.ndarray:
    """All signed (or plain) sums of one grain's basis, sorted."""
    values = (-1, 1) if digits == "pm" else (0, 1)
    return np.sort([float(np.dot(basis, signs)) for signs in itertools.product(values, repeat=len(basis))])


bases = st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=4)
samples = st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=40)


@given(basis=bases, digits=st.sampled_from(DIGITS))
def test_levels_are_exactly_the_sums_of_the_basis(basis, digits):
    v = torch.tensor([basis], dtype=torch.float64)
    levels = ops.sorted_levels(v, digits)
    np.testing.assert_allclose(levels.values[0].numpy(), brute_levels(v[0].numpy(), digits), atol=1e-12)
    words = ops.code_words(digits, v)[levels.codes[0]]
    torch.testing.assert_close(words @ v[0], levels.values[0], rtol=0, atol=1e-12)
    assert sorted(levels.codes[0].tolist()) == list(range(2 ** len(basis)))


@given(basis=bases, x=samples, digits=st.sampled_from(DIGITS))
def test_the_nearest_level_wins_and_ties_go_down(basis, x, digits):
    v, values = torch.tensor([basis]), torch.tensor(x)
    levels = ops.sorted_levels(v, digits)
    found = ops.nearest_level(values, levels)
    best = (values[:, None] - levels.values).abs().min(1).values
    assert ((values - found).abs() <= best * (1 + 1e-5) + 1e-6).all()
    assert torch.equal(found, levels.values[0][ops.level_index(values, levels)])
    distinct = levels.thresholds[0].unique()
    below = ops.nearest_level(distinct, levels)
    assert (below <= distinct).all(), "a value on a threshold goes to the lower level"


@pytest.mark.parametrize("digits", DIGITS)
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_statistics_are_counts_and_sums_of_every_level(bits, digits):
    generator = torch.Generator().manual_seed(bits)
    v = torch.randn(3, bits, generator=generator, dtype=torch.float64)
    x = torch.randn(3, 50, generator=generator, dtype=torch.float64)
    levels = ops.sorted_levels(v, digits)
    shares, sums = ops.level_statistics(x, levels)
    index = ops.level_index(x, levels)
    for level in range(2**bits):
        mask = index == level
        torch.testing.assert_close(shares[:, level], mask.double().mean(1), rtol=0, atol=1e-14)
        torch.testing.assert_close(sums[:, level], (x * mask).mean(1), rtol=0, atol=1e-14)


@pytest.mark.parametrize("digits", DIGITS)
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_the_update_is_the_least_squares_solution(bits, digits):
    v = published_start(bits, digits)
    x = normal_quantiles(1000) if digits == "pm" else normal_quantiles(1000).clamp_min(0)
    levels = ops.sorted_levels(v, digits)
    codes = levels.codes[0][ops.level_index(x, levels)]
    matrix = ops.code_words(digits, v)[codes]  # Bᵀ (N, K)
    expected = torch.linalg.lstsq(matrix, x[:, None]).solution[:, 0]
    torch.testing.assert_close(ops.alternate(x, v, digits, 0.0)[0], expected, rtol=1e-10, atol=1e-10)


def test_the_ridge_pulls_to_the_old_basis():
    x, v = normal_quantiles(1000), published_start(2, "pm")
    free, tied = ops.alternate(x, v, "pm", 0.0), ops.alternate(x, v, "pm", 1e6)
    assert (tied - v).abs().max() < 1e-5 < (free - v).abs().max()


@given(
    seed=st.integers(0, 2**32 - 1), bits=st.integers(1, 4), digits=st.sampled_from(DIGITS), count=st.integers(8, 300)
)
def test_the_error_never_grows(seed, bits, digits, count):
    """Card, test 1: any data, any start; both half steps, tolerance 1e-12."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, generator=generator, dtype=torch.float64) * 3
    v = torch.randn(1, bits, generator=generator, dtype=torch.float64) * 2
    error = float(ops.quantization_error(x, v, digits))
    for _ in range(8):
        levels = ops.sorted_levels(v, digits)
        codes = levels.codes[0][ops.level_index(x, levels)]
        v = ops.alternate(x, v, digits, 1e-13)  # as good as none, but never singular
        old_codes = float((ops.code_words(digits, v)[codes] @ v[0] - x).square().mean())
        new_codes = float(ops.quantization_error(x, v, digits))
        assert old_codes <= error + 1e-12
        assert new_codes <= old_codes + 1e-12
        error = new_codes


GOLDEN = {  # bits: converged |v|, mean squared error, error after the first alternation
    1: ((0.799,), 0.3638, 0.3638),
    2: ((0.529, 0.983), 0.1179, 0.1399),
    3: ((0.301, 0.607, 1.159), 0.0371, 0.0765),
    4: ((0.204, 0.370, 0.744, 1.231), 0.0115, 0.0564),
}


@pytest.mark.parametrize("bits", GOLDEN)
def test_golden_fixed_points_of_the_normal_distribution(bits):
    """Card, test 2: within 1 %, the spread of the card's random sample."""
    basis, error, first = GOLDEN[bits]
    x, v = normal_quantiles(100_000), published_start(bits, "pm")
    levels = ops.sorted_levels(v, "pm")
    codes = levels.codes[0][ops.level_index(x, levels)]
    v = ops.alternate(x, v, "pm", 0.0)
    after_one = (ops.code_words("pm", v)[codes] @ v[0] - x).square().mean()
    assert float(after_one) == pytest.approx(first, rel=0.01)
    for _ in range(150):
        v = ops.alternate(x, v, "pm", 0.0)
    assert v.abs().sort().values[0].tolist() == pytest.approx(basis, rel=0.01)
    assert float(ops.quantization_error(x, v, "pm")) == pytest.approx(error, rel=0.01)


@pytest.mark.parametrize(("bits", "lloyd_max"), [(1, 0.36338), (2, 0.11748)])
def test_one_and_two_bits_reach_the_best_quantizer_of_all(bits, lloyd_max):
    x, v = normal_quantiles(100_000), published_start(bits, "pm")
    for _ in range(100):
        v = ops.alternate(x, v, "pm", 0.0)
    assert float(ops.quantization_error(x, v, "pm")) == pytest.approx(lloyd_max, abs=2e-5)


@pytest.mark.parametrize(("bits", "share"), [(1, 0.1904), (2, 0.0468), (3, 0.0128), (4, 0.0037)])
def test_golden_fixed_points_of_the_rectified_normal_distribution(bits, share):
    """Card, test 2: error over energy, within 1.5 %, the spread of the card's random sample."""
    x, v = normal_quantiles(100_000).clamp_min(0), published_start(bits, "01")
    for _ in range(150):
        v = ops.alternate(x, v, "01", 0.0)
    error = ops.quantization_error(x, v, "01") / x.square().mean()
    assert float(error) == pytest.approx(share, rel=0.015)


@given(scale=st.floats(2**-6, 8, width=32), x=samples, bits=st.integers(1, 4))
def test_powers_of_two_give_a_uniform_quantizer(scale, x, bits):
    """Card, test 6: v = s(1, 2, 4, ..) is a mid-rise uniform quantizer of step 2s on all inputs."""
    v = torch.tensor([[scale * 2**k for k in range(bits)]], dtype=torch.float64)
    values = torch.tensor(x, dtype=torch.float64)
    found = ops.nearest_level(values, ops.sorted_levels(v, "pm"))
    half = 2 ** (bits - 1)
    # A tie goes down, so cell k is (2sk, 2s(k + 1)].
    cell = torch.clamp(torch.ceil(values / (2 * scale)) - 1, -half, half - 1)
    torch.testing.assert_close(found, (2 * cell + 1) * scale, rtol=1e-12, atol=1e-12)


@given(scale=st.floats(2**-6, 8, width=32), x=samples, bits=st.integers(1, 4))
def test_powers_of_two_give_an_unsigned_uniform_quantizer(scale, x, bits):
    v = torch.tensor([[scale * 2**k for k in range(bits)]], dtype=torch.float64)
    values = torch.tensor(x, dtype=torch.float64)
    found = ops.nearest_level(values, ops.sorted_levels(v, "01"))
    cell = torch.clamp(torch.ceil(values / scale - 0.5), 0, 2**bits - 1)
    torch.testing.assert_close(found, cell * scale, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "x",
    [
        torch.tensor([-3.0, 3.0] * 50),  # every value on the two outer levels
        torch.tensor([-0.5, 0.5] * 50),  # every value on the two inner levels
        torch.full((100,), 0.7),
        torch.zeros(100),
        torch.tensor([1.0]),  # fewer values than bits
    ],
    ids=["outer", "inner", "constant", "dead", "one value"],
)
def test_a_singular_system_keeps_the_basis_finite(x):
    """Card, section 9: the ridge decides what the data leave open; the error does not grow."""
    v = torch.tensor([[0.5, 1.0]])
    new = ops.alternate(x, v, "pm", 1e-4)
    assert torch.isfinite(new).all()
    assert ops.quantization_error(x, new, "pm") <= ops.quantization_error(x, v, "pm") + 1e-6


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 8))
def test_small_systems_are_solved(seed, size):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(5, size, size, generator=generator, dtype=torch.float64)
    matrix = root @ root.transpose(1, 2) + 0.1 * torch.eye(size, dtype=torch.float64)
    right = torch.randn(5, size, generator=generator, dtype=torch.float64)
    found = ops.solve_small(matrix, right)
    torch.testing.assert_close(torch.einsum("gij,gj->gi", matrix, found), right, rtol=1e-8, atol=1e-8)


@given(seed=st.integers(0, 2**32 - 1), bits=st.integers(1, 8), spread=st.floats(1e-6, 1e6))
def test_snapped_levels_are_whole_numbers_within_the_stated_bound(seed, bits, spread):
    """Off by at most K · scale / 2 with scale = Σ|v| / (127 - K/2): K / (508 - 2K) of the range of signed levels."""
    v = torch.randn(4, bits, generator=torch.Generator().manual_seed(seed)) * spread
    integer, scale = ops.snap(v)
    assert torch.equal(integer, integer.round())
    assert (integer.abs().sum(1) <= 127).all()
    torch.testing.assert_close(scale[:, 0], v.abs().sum(1) / (127 - bits / 2), rtol=2**-16, atol=0)
    assert ((integer * scale - v).abs() <= 0.501 * scale).all()
    words = ops.code_words("pm", v)
    levels, snapped = v @ words.T, (integer * scale) @ words.T
    distance = (levels - snapped).abs().max(1).values
    span = 2 * v.abs().sum(1)
    assert (distance <= span * bits / (508 - 2 * bits) * 1.01).all()
    if bits <= 3:
        assert (distance < span / 127).all()


@given(seed=st.integers(0, 2**32 - 1), bits=st.integers(1, 8), spread=st.floats(1e-6, 1e6))
def test_a_snapped_level_is_exact_in_float32(seed, bits, spread):
    """So the sum of scaled digits in training and level · scale in the engine are the same number, bit for bit."""
    integer, scale = ops.snap(torch.randn(4, bits, generator=torch.Generator().manual_seed(seed)) * spread)
    words = ops.code_words("pm", integer)
    in_training = ops.sorted_levels(integer * scale, "pm").values
    exact = ((integer @ words.T).double() * scale.double()).sort(dim=1).values
    assert torch.equal(in_training.double(), exact)


def test_a_dead_filter_snaps_to_a_legal_basis():
    integer, scale = ops.snap(torch.zeros(2, 3))
    assert integer.any(1).all()
    assert (scale > 0).all()
    assert (integer * scale).abs().max() < 1e-25
