// Functions of floats as exact sequences of float32 operations (docs/numerics.md), written as plain loops that the
// compiler vectorises for the level of the including file. Needs rows/body.h before it.
#pragma once

inline float exp_of(float x) {
  x = x > -87.0f ? x : -87.0f;
  x = x < 88.0f ? x : 88.0f;
  const float n = (x * 1.44269504088896341f + kRound) - kRound;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const int32_t power = (static_cast<int32_t>(n) + 127) * (1 << 23);  // 2^n; n lies in [-126, 127]
  float factor;
  __builtin_memcpy(&factor, &power, sizeof factor);
  return ((p * (r * r) + r) + 1.0f) * factor;
}

inline float sigmoid_of(float x) { return 1.0f / (1.0f + exp_of(-x)); }

inline float tanh_of(float x) {
  const float size = x < 0.0f ? -x : x;
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  const float small = (p * z) * x + x;
  const float large = 1.0f - 2.0f / (exp_of(2.0f * size) + 1.0f);
  const float is_signed = x < 0.0f ? -large : large;
  return size < 0.625f ? small : is_signed;
}

inline float gelu_of(float x) {
  const float u = (x < 0.0f ? -x : x) * 0.70710678118654757f;
  const float t = 1.0f / (1.0f + 0.3275911f * u);
  float p = 1.061405429f;
  p = p * t + -1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t + -0.284496736f;
  p = p * t + 0.254829592f;
  const float tail = (0.5f * (p * t)) * exp_of(-(u * u));
  const float share = x < 0.0f ? tail : 1.0f - tail;
  return x * share;
}

inline float hardswish_of(float x) {
  float y = x + 3.0f;
  y = y > 0.0f ? y : 0.0f;
  y = y < 6.0f ? y : 6.0f;
  return (x * y) * 0.16666667163372040f;
}

template <typename Body>
void apply(float* x, size_t n, const Body& body) {
  for (size_t i = 0; i < n; ++i) x[i] = body(x[i]);
}

void unary(float* x, size_t n, Unary function) {
  switch (function) {
    case Unary::Gelu: return apply(x, n, [](float v) { return gelu_of(v); });
    case Unary::Hardswish: return apply(x, n, [](float v) { return hardswish_of(v); });
    case Unary::Sigmoid: return apply(x, n, [](float v) { return sigmoid_of(v); });
    case Unary::Silu: return apply(x, n, [](float v) { return v * sigmoid_of(v); });
    case Unary::Tanh: return apply(x, n, [](float v) { return tanh_of(v); });
  }
}

// Sum of body(0) .. body(n - 1) in 16 interleaved partial sums, then halves added to halves.
template <typename Body>
float lane_sum(size_t n, const Body& body) {
  float sum[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) sum[lane] += body(i + lane);
  for (size_t lane = 0; i + lane < n; ++lane) sum[lane] += body(i + lane);
  for (size_t half = kLanes / 2; half > 0; half /= 2)
    for (size_t lane = 0; lane < half; ++lane) sum[lane] += sum[half + lane];
  return sum[0];
}

void layer_norm(const float* x, size_t n, float eps, size_t first, size_t count, float* y) {
  const float size = static_cast<float>(n);
  const float mean = lane_sum(n, [=](size_t i) { return x[i]; }) / size;
  const float variance = lane_sum(n, [=](size_t i) {
    const float centred = x[i] - mean;
    return centred * centred;
  }) / size;
  const float inverse = 1.0f / __builtin_sqrtf(variance + eps);
  for (size_t i = 0; i < count; ++i) y[i] = (x[first + i] - mean) * inverse;
}

float softmax(float* x, size_t n, float scale) {
  float best[kLanes];  // the largest is the same in any order
  for (size_t lane = 0; lane < kLanes; ++lane) best[lane] = -__builtin_inff();
  for (size_t k = 0; k < n; ++k) x[k] *= scale;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) best[lane] = x[i + lane] > best[lane] ? x[i + lane] : best[lane];
  for (size_t lane = 0; i + lane < n; ++lane) best[lane] = x[i + lane] > best[lane] ? x[i + lane] : best[lane];
  float largest = -__builtin_inff();
  for (size_t lane = 0; lane < kLanes; ++lane) largest = best[lane] > largest ? best[lane] : largest;
  for (size_t k = 0; k < n; ++k) x[k] = exp_of(x[k] - largest);
  return 1.0f / lane_sum(n, [=](size_t k) { return x[k]; });
}

void lstm(const float* KOMPAKT_RESTRICT gates, const float* KOMPAKT_RESTRICT hidden, size_t n,
          float* KOMPAKT_RESTRICT cell, float* KOMPAKT_RESTRICT state) {
  for (size_t i = 0; i < n; ++i) {
    const float in = sigmoid_of(gates[i] + hidden[i]);
    const float keep = sigmoid_of(gates[n + i] + hidden[n + i]);
    const float fresh = tanh_of(gates[2 * n + i] + hidden[2 * n + i]);
    const float show = sigmoid_of(gates[3 * n + i] + hidden[3 * n + i]);
    cell[i] = keep * cell[i] + in * fresh;
    state[i] = show * tanh_of(cell[i]);
  }
}

void gru(const float* KOMPAKT_RESTRICT gates, const float* KOMPAKT_RESTRICT hidden, size_t n,
         float* KOMPAKT_RESTRICT state) {
  for (size_t i = 0; i < n; ++i) {
    const float reset = sigmoid_of(gates[i] + hidden[i]);
    const float update = sigmoid_of(gates[n + i] + hidden[n + i]);
    const float fresh = tanh_of(gates[2 * n + i] + reset * hidden[2 * n + i]);
    state[i] = (1.0f - update) * fresh + update * state[i];
  }
}
