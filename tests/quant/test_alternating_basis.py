"""The rule of LQ-Nets: order of the update, running mean, gradients, degenerate data, snapping."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from kompakt.ops import basis as ops
from kompakt.quant import METHODS, Quantizer

PARTS = METHODS["lq_nets"]


def weights(bits: int, grains: int = 3) -> Quantizer:
    return Quantizer(PARTS, bits, signed=True, grains=grains)


def activations(bits: int) -> Quantizer:
    return Quantizer(PARTS, bits, signed=False, sample_axis=True)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_step_quantizes_with_the_basis_of_the_step_before():
    quantizer, x = weights(2).train(), normal(3, 100)
    before = quantizer.rule.basis.clone()
    y = quantizer(x)
    assert torch.equal(y, ops.nearest_level(x, ops.sorted_levels(before, "pm")))
    after = quantizer.rule.basis.clone()
    assert not torch.equal(after, before)
    assert torch.equal(quantizer(x), ops.nearest_level(x, ops.sorted_levels(after, "pm")))


def test_the_first_update_forgets_the_start():
    """Trap T1: the running mean is zero-debiased."""
    quantizer, x = weights(2).train(), normal(3, 100)
    with torch.no_grad():
        quantizer.rule.basis.copy_(torch.tensor([[0.4, 0.9]]))
    expected = ops.alternate(x, quantizer.rule.basis, "pm", 1e-4 * 3 / x.numel())
    quantizer(x)
    torch.testing.assert_close(quantizer.rule.basis, expected, rtol=1e-6, atol=1e-7)


def test_the_basis_is_the_debiased_mean_of_the_solutions():
    """Card, section 4.1, step by step in float64."""
    quantizer = weights(2).train()
    stored, accumulator = quantizer.rule.basis.double().clone(), torch.zeros(3, 2, dtype=torch.float64)
    for n in range(1, 6):
        x = normal(3, 200, seed=n)
        new = ops.alternate(x.double(), stored, "pm", 1e-4 / 200)
        accumulator = 0.9 * accumulator + 0.1 * new
        stored = accumulator / (1 - 0.9**n)
        quantizer(x)
        torch.testing.assert_close(quantizer.rule.basis.double(), stored, rtol=1e-4, atol=1e-5)


def test_the_ridge_of_a_filter_is_that_of_the_released_code():
    """ε = 1e-4 on plain sums is 1e-4 / N on means: (BBᵀ + εI)v = Bx + εv_old, solved in float64 over the sums."""
    x, basis = normal(1, 50).double(), torch.tensor([[0.3, 0.8]], dtype=torch.float64)
    levels = ops.sorted_levels(basis, "pm")
    b = ops.code_words("pm", basis)[levels.codes[0]][ops.level_index(x[0], levels)].T
    expected = torch.linalg.solve(b @ b.T + 1e-4 * torch.eye(2, dtype=torch.float64), b @ x[0] + 1e-4 * basis[0])
    torch.testing.assert_close(ops.alternate(x, basis, "pm", 1e-4 / 50)[0], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_weights_get_the_whole_gradient_and_the_basis_none(bits):
    quantizer, x = weights(bits).train(), normal(3, 50).mul(5).requires_grad_()
    c = normal(3, 50, seed=1)
    (quantizer(x) * c).sum().backward()
    assert torch.equal(x.grad, c), "no clipping of weights"
    assert not list(quantizer.parameters()), "the basis must be out of the optimizer's reach"
    assert quantizer.rule.basis.grad is None
    assert not quantizer.rule.basis.requires_grad


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_activations_get_a_gradient_below_the_top_level_only(bits):
    """Card, test 5: 1 below q_max, 0 above; q_max itself is a constant."""
    quantizer = activations(bits)
    quantizer.fit(normal(8, 50).clamp_min(0))
    top = float(quantizer.rule.basis.sum())
    x = torch.cat([torch.linspace(0, 0.999 * top, 40), torch.linspace(1.001 * top, 3 * top, 20)]).reshape(4, 15)
    x.requires_grad_()
    c = normal(4, 15, seed=2)
    (quantizer.train()(x) * c).sum().backward()
    assert torch.equal(x.grad, torch.where(x < top, c, 0.0))
    assert quantizer.rule.basis.grad is None


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_values_of_a_filter_are_exactly_the_signed_sums_of_its_basis(bits):
    """Card, test 4."""
    quantizer, x = weights(bits).eval(), normal(3, 4000)
    quantizer.fit(x)
    basis, y = quantizer.rule.basis.double().numpy(), quantizer(x)
    for grain in range(3):
        sums = [float(np.dot(basis[grain], signs)) for signs in itertools.product((-1, 1), repeat=bits)]
        np.testing.assert_allclose(y[grain].unique().numpy(), np.sort(sums), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "x",
    [torch.zeros(3, 20), torch.full((3, 20), 1.3), torch.full((3, 20), 1e-12)],
    ids=["dead", "constant", "tiny"],
)
def test_fewer_than_two_codes_change_nothing(x):
    quantizer = weights(2).train()
    quantizer.fit(normal(3, 100))
    before = quantizer.rule.basis.clone()
    for _ in range(20):
        quantizer(x)
    torch.testing.assert_close(quantizer.rule.basis, before, rtol=2e-6, atol=0)  # roundings of the running mean


def test_one_dead_filter_does_not_stop_the_others():
    quantizer, x = weights(2).train(), normal(3, 100)
    quantizer.fit(x)
    before = quantizer.rule.basis.clone()
    moved = 2 * x
    moved[1] = 0
    for _ in range(10):
        quantizer(moved)
    change = (quantizer.rule.basis - before).abs().sum(1) / before.abs().sum(1)
    assert change[1] < 1e-5
    assert change[0] > 0.1
    assert change[2] > 0.1


@pytest.mark.parametrize("size", [9, 144, 576, 1152])
def test_all_weights_on_the_outer_levels(size):
    """Card, section 9: BBᵀ is singular; the sum of the basis still goes to the data's level."""
    x = torch.where(normal(3, size) < 0, -3.0, 3.0)
    quantizer = weights(2).train()
    with torch.no_grad():
        quantizer.rule.basis.copy_(torch.tensor([[0.5, 1.0]]))
    quantizer(x)
    torch.testing.assert_close(quantizer.rule.basis.sum(1), torch.full((3,), 3.0), rtol=1e-3, atol=0)


def test_fewer_values_than_bits():
    quantizer, x = weights(4).train(), normal(3, 2)
    quantizer.fit(x)
    for _ in range(5):
        y = quantizer(x)
    assert torch.isfinite(y).all()
    assert (y - x).abs().max() < 0.05


def test_fitting_converges_on_the_data_and_counts_as_one_update():
    quantizer, x = weights(3), normal(3, 2000) * torch.tensor([[0.01], [1.0], [100.0]])
    quantizer.fit(x)
    error = ops.quantization_error(x, quantizer.rule.basis, "pm") / x.square().mean(1)
    assert (error < 0.042).all(), "3 bits of a normal sample: about 0.037, whatever its spread"
    assert float(quantizer.rule.count) == 1
    torch.testing.assert_close(quantizer.rule.accumulator, 0.1 * quantizer.rule.basis)


def test_after_finish_the_levels_are_whole_numbers_times_the_scale():
    quantizer, x = weights(4), normal(3, 4000)
    quantizer.fit(x)
    quantizer.finish()
    encoding, scale = quantizer.encoding()
    y = quantizer.eval()(x)
    for grain in range(3):
        levels = y[grain].unique().double().numpy() / float(scale[grain])
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
        assert set(np.rint(levels)) == set(encoding.table()[grain].tolist())
    assert quantizer.rule.snap_error() <= 4 / (508 - 2 * 4)


@pytest.mark.parametrize(("make", "bits"), [(weights, 1), (weights, 3), (activations, 1), (activations, 4)])
def test_the_snap_error_is_the_distance_of_levels_over_their_range(make, bits):
    quantizer = make(bits)
    x = normal(3, 500)
    quantizer.fit(x if quantizer.signed else x.clamp_min(0))
    digits = quantizer.grid.digits
    exact = ops.sorted_levels(quantizer.rule.basis, digits).values
    words = ops.code_words(digits, quantizer.rule.basis)
    final = quantizer.rule.final_parameters()["basis"]
    distance = ((final - quantizer.rule.basis) @ words.T).abs().max(1).values
    span = exact[:, -1] - exact[:, 0]
    assert quantizer.rule.snap_error() >= float((distance / span).max()) - 1e-7
    bound = bits / (508 - 2 * bits) * (1 if quantizer.signed else 2)
    assert quantizer.rule.snap_error() <= 1.001 * bound


def test_training_goes_on_after_finish():
    quantizer, x = weights(2).train(), normal(3, 300)
    quantizer.fit(x)
    quantizer.finish()
    before = quantizer.rule.basis.clone()
    for seed in range(5):
        quantizer(2 * normal(3, 300, seed=seed))
    assert (quantizer.rule.basis - before).abs().max() > 0.01
