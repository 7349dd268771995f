// Float sums in ascending order of k, one lane per output channel; vectorised by the compiler at every level.
// The file is compiled with -ffp-contract=off: a fused multiply-add would change results.
#pragma once

inline void real_block(const float* window, const size_t* taps, size_t tap_count, const float* w, float* out) {
  float sum[kLanes] = {};
  for (size_t k = 0; k < tap_count; ++k, w += kLanes) {
    const float x = window[taps[k]];
    for (size_t c = 0; c < kLanes; ++c) sum[c] += x * w[c];
  }
  for (size_t c = 0; c < kLanes; ++c) out[c] = sum[c];
}

[[maybe_unused]] void real_generic(const RealArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b)
    for (size_t p = 0; p < a.pixel_count; ++p)
      real_block(a.in + a.pixels[p], a.taps, a.tap_count, a.weights + b * a.tap_count * kLanes,
                 a.out + p * a.pitch + b * kLanes);
}

void real_depthwise(const RealArgs& a) {
  for (size_t p = 0; p < a.pixel_count; ++p) {
    const float* window = a.in + a.pixels[p];
    float sum[kLanes] = {};
    for (size_t k = 0; k < a.tap_count; ++k) {
      const float* x = window + a.taps[k];
      const float* w = a.weights + k * kLanes;
      for (size_t c = 0; c < kLanes; ++c) sum[c] += x[c] * w[c];
    }
    float* out = a.out + p * a.pitch;
    for (size_t c = 0; c < kLanes; ++c) out[c] = sum[c];
  }
}
