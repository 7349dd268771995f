// Float sums, 16 output channels in four vectors. Multiply and add stay separate (-ffp-contract=off), k ascends.
#pragma once

template <int P>
void real_tile(const RealArgs& a, size_t block, size_t pixel) {
  const float* w = a.weights + block * a.tap_count * kLanes;
  const float* window[P];
  float32x4_t sum[P][4];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    window[p] = a.in + a.pixels[pixel + p];
    KOMPAKT_UNROLL
    for (int v = 0; v < 4; ++v) sum[p][v] = vdupq_n_f32(0.0f);
  }
  for (size_t k = 0; k < a.tap_count; ++k, w += kLanes) {
    const float32x4_t weights[4] = {vld1q_f32(w), vld1q_f32(w + 4), vld1q_f32(w + 8), vld1q_f32(w + 12)};
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      const float32x4_t x = vdupq_n_f32(window[p][a.taps[k]]);
      KOMPAKT_UNROLL
      for (int v = 0; v < 4; ++v) sum[p][v] = vaddq_f32(sum[p][v], vmulq_f32(x, weights[v]));
    }
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int v = 0; v < 4; ++v) vst1q_f32(a.out + (pixel + p) * a.pitch + block * kLanes + 4 * v, sum[p][v]);
}

void real(const RealArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b) {
    size_t p = 0;
    for (; p + 4 <= a.pixel_count; p += 4) real_tile<4>(a, b, p);
    for (; p < a.pixel_count; ++p) real_tile<1>(a, b, p);
  }
}
