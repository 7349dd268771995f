"""Training for weight sharing: the pull is the gradient of the optimal clustering, levels come at the end."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from kompakt.ops.clustering import optimal_clusters
from kompakt.quant import METHODS, Quantizer
from kompakt.quant.friendly_clusters import EVERY, STRENGTH

PARTS = METHODS["dp_net_trained"]


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fitted(bits: int, x: torch.Tensor) -> Quantizer:
    quantizer = Quantizer(PARTS, bits, signed=True).train()
    quantizer.fit(x)
    return quantizer


def distortion(x: np.ndarray, count: int) -> float:
    """D: squared error of the best clustering."""
    centres = optimal_clusters(x, count)
    return float((np.abs(x[:, None] - centres).min(1) ** 2).sum())


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_the_pull_is_the_gradient_of_the_optimal_error(bits):
    """Card: the envelope theorem gives 2 (w - centre); against differences of D itself, found anew each time."""
    x = weights(1, 60).double().numpy()[0]
    weight = torch.tensor(x, dtype=torch.float32).reshape(1, -1).requires_grad_()
    fitted(bits, weight.detach()).rule.penalty(weight).backward()
    step, found = 1e-4, weight.grad[0].double().numpy() * (x**2).sum() / STRENGTH
    for i in range(0, 60, 7):
        up, down = x.copy(), x.copy()
        up[i], down[i] = up[i] + step, down[i] - step
        slope = (distortion(up, 2**bits) - distortion(down, 2**bits)) / (2 * step)
        assert found[i] == pytest.approx(slope, abs=0.03)  # centres in the file are whole numbers of 1/127


def test_descent_on_the_pull_alone_makes_clusters():
    """Card, test 3: D / |w|² falls, here with nothing against it."""
    weight = weights(8, 40).requires_grad_()
    quantizer = fitted(2, weight.detach())
    optimizer, before = torch.optim.Adam([weight], lr=0.01), quantizer.rule.penalty(weight).item()
    for _ in range(2 * EVERY):
        loss = quantizer.rule.penalty(weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            quantizer.rule.follow(weight)
    assert quantizer.rule.penalty(weight).item() < before / 5


def test_weights_stay_as_they_are_until_the_end():
    x = weights(8, 40)
    quantizer = fitted(2, x)
    assert quantizer(x) is x
    quantizer.finish()
    assert len(quantizer(x).unique()) == 4
    codes, encoding, scale = quantizer.encode(x)
    assert np.array_equal(quantizer.decode(codes, encoding, scale), quantizer(x).detach().numpy())


def test_clusters_are_found_anew_at_intervals_that_a_checkpoint_keeps():
    x = weights(8, 40)
    quantizer = fitted(2, x)
    before = quantizer.rule.clusters.centres.clone()
    for _ in range(EVERY - 1):
        quantizer.rule.follow(3 * x)
    resumed = Quantizer(PARTS, 2, signed=True)
    resumed.load_state_dict(copy.deepcopy(quantizer.state_dict()))
    assert torch.equal(resumed.rule.clusters.centres, before)
    resumed.rule.follow(3 * x)
    torch.testing.assert_close(resumed.rule.clusters.centres, 3 * before, rtol=1e-4, atol=1e-5)
