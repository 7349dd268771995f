"""Operators over floats that are more than one operation per element: exact sequences of float32 operations.

docs/numerics.md in executable form, as `reference.py`. Every line is one rounded operation per element, in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

LANES = 16
f32 = np.float32


def maximum(a: np.ndarray, b: np.ndarray | np.float32) -> np.ndarray:
    """`a > b ? a : b`: gives b on ties (so +0.0 for -0.0 and 0.0) and where a is NaN."""
    return np.where(a > b, a, b)


def minimum(a: np.ndarray, b: np.ndarray | np.float32) -> np.ndarray:
    """`a < b ? a : b`."""
    return np.where(a < b, a, b)


def lane_sum(x: np.ndarray) -> np.ndarray:
    """Sum over the last axis: 16 interleaved partial sums from 0, then halves added to halves; (...,) float32."""
    missing = -x.shape[-1] % LANES
    x = np.concatenate([x, np.zeros((*x.shape[:-1], missing), f32)], axis=-1)
    total = np.zeros((*x.shape[:-1], LANES), f32)
    for start in range(0, x.shape[-1], LANES):
        total = total + x[..., start : start + LANES]
    for half in (8, 4, 2, 1):
        total = total[..., :half] + total[..., half : 2 * half]
    return np.asarray(total[..., 0])


def exp(x: np.ndarray) -> np.ndarray:
    """e^x, clamped to x in [-87, 88]: 2^n times a polynomial of degree 7 in x - n ln 2; error below 1e-7 relative."""
    x = minimum(maximum(x, f32(-87)), f32(88))
    n = np.rint(x * f32(1.4426950408889634))
    r = (x - n * f32(0.693359375)) - n * f32(-2.12194440e-4)
    p = _polynomial(
        r, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
    )
    return np.asarray(((p * (r * r) + r) + f32(1)) * np.ldexp(f32(1), n.astype(np.int32)))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x); error below 2e-7 relative."""
    return np.asarray(f32(1) / (f32(1) + exp(-x)))


def tanh(x: np.ndarray) -> np.ndarray:
    """An odd polynomial below 0.625, else from the exponential; error below 2e-7 relative."""
    size, z = np.where(x < 0, -x, x), x * x
    p = _polynomial(z, (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1))
    large = f32(1) - f32(2) / (exp(f32(2) * size) + f32(1))
    return np.where(size < f32(0.625), (p * z) * x + x, np.where(x < 0, -large, large))


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution function, whose tail is Abramowitz and Stegun 7.1.26; error below 3e-7 |x|."""
    u = np.where(x < 0, -x, x) * f32(0.7071067811865476)
    t = f32(1) / (f32(1) + f32(0.3275911) * u)
    p = _polynomial(t, (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592))
    tail = (f32(0.5) * (p * t)) * exp(-(u * u))
    return np.asarray(x * np.where(x < 0, tail, f32(1) - tail))


def silu(x: np.ndarray) -> np.ndarray:
    """x * sigmoid(x)."""
    return np.asarray(x * sigmoid(x))


def hardswish(x: np.ndarray) -> np.ndarray:
    """x * clamp(x + 3, 0, 6) / 6."""
    return np.asarray((x * minimum(maximum(x + f32(3), f32(0)), f32(6))) * f32(1 / 6))


UNARY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gelu": gelu,
    "hardswish": hardswish,
    "sigmoid": sigmoid,
    "silu": silu,
    "tanh": tanh,
}


def layer_norm(x: np.ndarray, eps: float) -> np.ndarray:
    """(x - mean) / sqrt(variance + eps) over the channels of (N, C, ...)."""
    x = np.moveaxis(x, 1, -1)
    count = f32(x.shape[-1])
    centred = x - (lane_sum(x) / count)[..., None]
    variance = lane_sum(centred * centred) / count
    inverse = f32(1) / np.sqrt(variance + f32(eps))
    return np.moveaxis(centred * inverse[..., None], -1, 1)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int, scale: float) -> np.ndarray:
    """Softmax(q k^T scale) v per head; q, k, v (N, C, H, W) of H * W tokens, head h has channels h * C / heads on."""
    shape = q.shape
    q, k, v = (x.reshape(shape[0], heads, shape[1] // heads, shape[2] * shape[3]) for x in (q, k, v))
    scores = np.zeros((shape[0], heads, q.shape[3], q.shape[3]), f32)
    for channel in range(q.shape[2]):
        scores = scores + q[:, :, channel, :, None] * k[:, :, channel, None, :]
    scores = scores * f32(scale)
    largest = np.full(scores.shape[:3], -np.inf, f32)
    for token in range(scores.shape[3]):
        largest = maximum(scores[..., token], largest)
    weights = exp(scores - largest[..., None])
    inverse = f32(1) / lane_sum(weights)
    total = np.zeros_like(v)
    for token in range(scores.shape[3]):
        total = total + weights[:, :, None, :, token] * v[:, :, :, token, None]
    return (total * inverse[:, :, None, :]).reshape(shape)


def lstm(gates: np.ndarray, hidden: np.ndarray, state: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step, gates (N, 4 H) in the order i, f, g, o: the new state and cell."""
    i, f, g, o = np.split(gates + hidden, 4, axis=1)
    cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(cell), cell


def gru(gates: np.ndarray, hidden: np.ndarray, state: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step, gates (N, 3 H) in the order r, z, n: the new state; the cell stays."""
    (ir, iz, new), (hr, hz, hn) = np.split(gates, 3, axis=1), np.split(hidden, 3, axis=1)
    new = tanh(new + sigmoid(ir + hr) * hn)
    update = sigmoid(iz + hz)
    return (f32(1) - update) * new + update * state, cell


def _polynomial(x: np.ndarray, coefficients: Sequence[float]) -> np.ndarray:
    """Horner's rule, one product and one sum per step."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + f32(coefficient)
    return total
