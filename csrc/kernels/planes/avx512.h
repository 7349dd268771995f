// Bit planes with VPOPCNTDQ: one output channel per 64-bit lane, two vectors per block of 16 channels. An operand
// word is broadcast; counts of one pair of planes stay in registers and are scaled once per pair.
#pragma once

inline __m512i narrow_counts(__m512i low, __m512i high) {
  const __m512i half = _mm512_castsi256_si512(_mm512_cvtepi64_epi32(low));
  return _mm512_inserti64x4(half, _mm512_cvtepi64_epi32(high), 1);
}

template <int P>
void planes_tile(const PlanesArgs& a, size_t block, size_t pixel) {
  const __m512i window_factor = _mm512_loadu_si512(a.window_factor + block * kLanes);
  __m512i sum[P];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    sum[p] = _mm512_add_epi32(_mm512_loadu_si512(a.bias + a.bias_rows[pixel + p] + block * kLanes),
                              _mm512_mullo_epi32(window_factor, _mm512_set1_epi32(a.sums[pixel + p])));
  for (size_t i = 0; i < a.weight_planes; ++i) {
    const size_t plane = block * a.weight_planes + i;
    const __m512i weight_factor = _mm512_loadu_si512(a.weight_factor + plane * kLanes);
    for (size_t j = 0; j < a.operand_planes; ++j) {
      const uint64_t* w = a.weights + plane * a.words * kLanes;
      const uint64_t* x = a.operands + (pixel * a.operand_planes + j) * a.words;
      const size_t stride = a.operand_planes * a.words;
      __m512i low[P], high[P];
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) low[p] = high[p] = _mm512_setzero_si512();
      for (size_t k = 0; k < a.words; ++k, w += kLanes) {
        const __m512i w_low = _mm512_loadu_si512(w);
        const __m512i w_high = _mm512_loadu_si512(w + 8);
        KOMPAKT_UNROLL
        for (int p = 0; p < P; ++p) {
          const __m512i word = _mm512_set1_epi64(static_cast<long long>(x[p * stride + k]));
          low[p] = _mm512_add_epi64(low[p], _mm512_popcnt_epi64(_mm512_and_si512(word, w_low)));
          high[p] = _mm512_add_epi64(high[p], _mm512_popcnt_epi64(_mm512_and_si512(word, w_high)));
        }
      }
      const __m512i factor = _mm512_mullo_epi32(weight_factor, _mm512_set1_epi32(a.operand_factor[j]));
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p)
        sum[p] = _mm512_add_epi32(sum[p], _mm512_mullo_epi32(factor, narrow_counts(low[p], high[p])));
    }
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) _mm512_storeu_si512(a.out + (pixel + p) * a.pitch + block * kLanes, sum[p]);
}

void planes(const PlanesArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b) {
    size_t p = 0;
    for (; p + 8 <= a.pixel_count; p += 8) planes_tile<8>(a, b, p);
    for (; p + 4 <= a.pixel_count; p += 4) planes_tile<4>(a, b, p);
    for (; p + 2 <= a.pixel_count; p += 2) planes_tile<2>(a, b, p);
    for (; p < a.pixel_count; ++p) planes_tile<1>(a, b, p);
  }
}
