// Float sums, 16 output channels in two vectors. Multiply and add stay separate (-ffp-contract=off), k ascends.
#pragma once

template <int P>
void real_tile(const RealArgs& a, size_t block, size_t pixel) {
  const float* w = a.weights + block * a.tap_count * kLanes;
  const float* window[P];
  __m256 low[P], high[P];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    window[p] = a.in + a.pixels[pixel + p];
    low[p] = high[p] = _mm256_setzero_ps();
  }
  for (size_t k = 0; k < a.tap_count; ++k, w += kLanes) {
    const __m256 w_low = _mm256_loadu_ps(w);
    const __m256 w_high = _mm256_loadu_ps(w + 8);
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      const __m256 x = _mm256_set1_ps(window[p][a.taps[k]]);
      low[p] = _mm256_add_ps(low[p], _mm256_mul_ps(x, w_low));
      high[p] = _mm256_add_ps(high[p], _mm256_mul_ps(x, w_high));
    }
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    float* out = a.out + (pixel + p) * a.pitch + block * kLanes;
    _mm256_storeu_ps(out, low[p]);
    _mm256_storeu_ps(out + 8, high[p]);
  }
}

void real(const RealArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b) {
    size_t p = 0;
    for (; p + 4 <= a.pixel_count; p += 4) real_tile<4>(a, b, p);
    for (; p < a.pixel_count; ++p) real_tile<1>(a, b, p);
  }
}
