"""Bit-plane equivalence (LQ-Nets card, test 3): a layer is a weighted sum of binary dot products."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kompakt.encoding import Planes
from kompakt.quant import METHODS, Quantizer

POPCOUNT = np.array([bin(byte).count("1") for byte in range(256)], np.int64)


def popcount(bits: np.ndarray) -> np.ndarray:
    """Ones along the last axis of booleans, counted in packed bytes."""
    return POPCOUNT[np.packbits(bits, axis=-1)].sum(-1)


def patches(x: np.ndarray, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """(N, C, H, W) codes to (N, positions, C * kernel * kernel); padding has code 0, level 0."""
    padded = torch.from_numpy(x.astype(np.float64))
    columns = F.unfold(padded, kernel, dilation=dilation, padding=padding, stride=stride)
    return columns.numpy().astype(np.uint8).transpose(0, 2, 1)


def planes_layer(w: np.ndarray, weight: Planes, columns: np.ndarray, activation: Planes) -> np.ndarray:
    """Σ_ij V_i U_j (b_i · c_j) with b in {-1, +1} and c in {0, 1}: 2·popcount(u AND a) - popcount(a); integers."""
    total = 0
    for i in range(weight.bits):
        u = (w >> i) & 1  # (O, K)
        for j in range(activation.bits):
            a = (columns >> j) & 1  # (N, P, K)
            both = popcount(u[None, None].astype(bool) & a[:, :, None, :].astype(bool))
            dot = 2 * both - popcount(a.astype(bool))[:, :, None]
            total = total + weight.basis[:, i].astype(np.int64) * int(activation.basis[0, j]) * dot
    return total


@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "stride", "padding", "dilation", "groups"),
    [
        (7, 5, 3, 1, 1, 1, 1),  # 63 values: one less than a word
        (64, 3, 1, 1, 0, 1, 1),
        (13, 4, 3, 2, 1, 1, 1),  # 117 values
        (12, 6, 3, 2, 0, 1, 3),
        (6, 6, 3, 1, 2, 2, 6),  # depthwise, dilated
        (65, 2, 1, 2, 1, 1, 1),
    ],
)
@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(1, 1), (2, 2), (3, 4), (4, 1)])
def test_integer_planes_equal_float_convolution(
    channels, outputs, kernel, stride, padding, dilation, groups, weight_bits, activation_bits
):
    generator = torch.Generator().manual_seed(channels)
    w = torch.randn(outputs, channels // groups, kernel, kernel, generator=generator)
    x = torch.randn(2, channels, 7, 6, generator=generator).clamp_min(0)
    qw = Quantizer(METHODS["lq_nets"], weight_bits, signed=True, grains=outputs)
    qx = Quantizer(METHODS["lq_nets"], activation_bits, signed=False, sample_axis=True)
    for quantizer, values in ((qw, w), (qx, x)):
        quantizer.fit(values)
        quantizer.finish()
        quantizer.eval()
    w_codes, w_encoding, w_scale = qw.encode(w)
    x_codes, x_encoding, x_scale = qx.encode(x)
    per_group, parts = outputs // groups, []
    for g in range(groups):
        rows = slice(g * per_group, (g + 1) * per_group)
        inputs = x_codes[:, g * channels // groups : (g + 1) * channels // groups]
        grains = Planes(weight_bits, w_encoding.basis[rows], "pm")
        columns = patches(inputs, kernel, stride, padding, dilation)
        parts.append(planes_layer(w_codes[rows].reshape(per_group, -1), grains, columns, x_encoding))
    found = np.concatenate(parts, axis=2).transpose(0, 2, 1)
    real = found * w_scale.astype(np.float64)[:, None] * float(x_scale[0])
    expected = F.conv2d(qx(x), qw(w), None, stride, padding, dilation, groups).flatten(2).numpy()
    np.testing.assert_allclose(real, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    levels = [q.encoding()[0].table().astype(np.float64) for q in (qw, qx)]
    exact = F.conv2d(
        torch.from_numpy(levels[1][0][x_codes]),
        torch.from_numpy(np.stack([levels[0][o][w_codes[o]] for o in range(outputs)])),
        None, stride, padding, dilation, groups,
    )  # fmt: skip
    assert np.array_equal(found, exact.flatten(2).numpy().astype(np.int64)), "integers, exactly"
