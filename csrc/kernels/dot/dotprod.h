// Dot products u8 x s8 with sdot: 16 products into 4 lanes. Operands as in dot/neon.h.
#pragma once

template <int P>
void sdot_tile(const DotU8& a, const StartSums& start, size_t block, size_t pixel) {
  const int8_t* w = a.weights + block * a.tap_count * kLanes * 4;
  const uint8_t* window[P];
  int32x4_t sum[P][4];
  start_windows(a, pixel, window);
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int v = 0; v < 4; ++v) sum[p][v] = start.v[v];
  for (size_t k = 0; k < a.tap_count; ++k, w += kLanes * 4) {
    const int8x16_t weights[4] = {vld1q_s8(w), vld1q_s8(w + 16), vld1q_s8(w + 32), vld1q_s8(w + 48)};
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      const int8x16_t x = signed_group(window[p] + a.taps[k]);
      KOMPAKT_UNROLL
      for (int v = 0; v < 4; ++v) sum[p][v] = vdotq_s32(sum[p][v], weights[v], x);
    }
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int v = 0; v < 4; ++v) vst1q_s32(a.out + (pixel + p) * a.pitch + block * kLanes + 4 * v, sum[p][v]);
}

void dot_u8_sdot(const DotU8& a) {
  for (size_t b = 0; b < a.block_count; ++b) {
    const StartSums start = shifted_bias(a, b);
    size_t p = 0;
    for (; p + 6 <= a.pixel_count; p += 6) sdot_tile<6>(a, start, b, p);
    for (; p + 2 <= a.pixel_count; p += 2) sdot_tile<2>(a, start, b, p);
    for (; p < a.pixel_count; ++p) sdot_tile<1>(a, start, b, p);
  }
}
