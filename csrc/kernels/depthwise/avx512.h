// Parts of depthwise convolution with vpdpbusd: four taps of 16 channels become groups of four bytes by one vpermt2b.
#pragma once

using Column = __m512i;  // byte 4 * c + j is tap j of channel c
using DepthwiseSums = __m512i;
using ColumnWeight = __m512i;

inline __m128i load_16_bytes(const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

struct TapOrder {
  alignas(64) uint8_t byte[64] = {};
  constexpr TapOrder() {
    for (size_t i = 0; i < 64; ++i) byte[i] = static_cast<uint8_t>(i % 4 / 2 * 64 + i % 2 * 16 + i / 4);
  }
};

inline Column load_column(const uint8_t* x, const size_t* taps) {
  static constexpr TapOrder order;
  const __m256i upper = _mm256_set_m128i(load_16_bytes(x + taps[1]), load_16_bytes(x + taps[0]));
  const __m256i lower = _mm256_set_m128i(load_16_bytes(x + taps[3]), load_16_bytes(x + taps[2]));
  return _mm512_permutex2var_epi8(_mm512_castsi256_si512(upper), _mm512_load_si512(order.byte),
                                  _mm512_castsi256_si512(lower));
}

inline ColumnWeight load_weight(const int8_t* at) { return _mm512_loadu_si512(at); }
inline DepthwiseSums no_sums() { return _mm512_setzero_si512(); }
inline void add_products(DepthwiseSums& sums, Column x, ColumnWeight w) { sums = _mm512_dpbusd_epi32(sums, x, w); }
inline void add_bias(DepthwiseSums& sums, const int32_t* at) { sums = _mm512_add_epi32(sums, _mm512_loadu_si512(at)); }
inline void store_sums(DepthwiseSums sums, int32_t* at) { _mm512_storeu_si512(at, sums); }

template <int P>
inline void store_depthwise(const CodesArgs& codes, const DepthwiseSums (&sums)[P], size_t pixel) {
  __m512i columns[P][1];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) columns[p][0] = sums[p];
  store_codes<P, 1>(codes, columns, 0, pixel);
}
