// Float sums, 16 output channels per vector. Multiply and add stay separate (-ffp-contract=off), k ascends.
#pragma once

template <int P, int B>
void real_tile(const RealArgs& a, size_t block, size_t pixel) {
  const size_t block_size = a.tap_count * kLanes;
  const float* w = a.weights + block * block_size;
  const float* window[P];
  __m512 sum[P][B];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    window[p] = a.in + a.pixels[pixel + p];
    KOMPAKT_UNROLL
    for (int b = 0; b < B; ++b) sum[p][b] = _mm512_setzero_ps();
  }
  for (size_t k = 0; k < a.tap_count; ++k, w += kLanes) {
    const size_t tap = a.taps[k];
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      const __m512 x = _mm512_set1_ps(window[p][tap]);
      KOMPAKT_UNROLL
      for (int b = 0; b < B; ++b)
        sum[p][b] = _mm512_add_ps(sum[p][b], _mm512_mul_ps(x, _mm512_loadu_ps(w + b * block_size)));
    }
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int b = 0; b < B; ++b) _mm512_storeu_ps(a.out + (pixel + p) * a.pitch + (block + b) * kLanes, sum[p][b]);
}

template <int B>
void real_column(const RealArgs& a, size_t block) {
  size_t p = 0;
  for (; p + 8 <= a.pixel_count; p += 8) real_tile<8, B>(a, block, p);
  for (; p + 2 <= a.pixel_count; p += 2) real_tile<2, B>(a, block, p);
  for (; p < a.pixel_count; ++p) real_tile<1, B>(a, block, p);
}

void real(const RealArgs& a) {
  size_t b = 0;
  for (; b + 2 <= a.block_count; b += 2) real_column<2>(a, b);
  for (; b < a.block_count; ++b) real_column<1>(a, b);
}
