// Parts of depthwise convolution with vpdpbusd: four taps of 16 channels become groups of four bytes by one vpermt2b.
#pragma once

constexpr int kParts = 1;
constexpr size_t kPartLanes = kLanes;

using Column = __m512i;  // byte 4 * c + j is tap j of channel c
using ColumnWeight = __m512i;
using PartSums = __m512i;

inline __m128i load_16_bytes(const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

struct TapOrder {
  alignas(64) uint8_t byte[64] = {};
  constexpr TapOrder() {
    for (size_t i = 0; i < 64; ++i) byte[i] = static_cast<uint8_t>(i % 4 / 2 * 64 + i % 2 * 16 + i / 4);
  }
};

template <bool kHasFourth>
inline Column load_column(const uint8_t* x, const size_t* taps) {
  static constexpr TapOrder order;
  const __m256i upper = _mm256_set_m128i(load_16_bytes(x + taps[1]), load_16_bytes(x + taps[0]));
  __m256i lower = _mm256_castsi128_si256(load_16_bytes(x + taps[2]));
  if (kHasFourth) lower = _mm256_inserti128_si256(lower, load_16_bytes(x + taps[3]), 1);
  return _mm512_permutex2var_epi8(_mm512_castsi256_si512(upper), _mm512_load_si512(order.byte),
                                  _mm512_castsi256_si512(lower));
}

inline ColumnWeight load_weight(const int8_t* at) { return _mm512_loadu_si512(at); }
inline PartSums load_sums(const int32_t* at) { return _mm512_loadu_si512(at); }
inline void store_sums(PartSums sums, int32_t* at) { _mm512_storeu_si512(at, sums); }
inline void add_products(PartSums& sums, Column x, ColumnWeight w) { sums = _mm512_dpbusd_epi32(sums, x, w); }

template <int P>
inline void store_depthwise(const CodesArgs& codes, const PartSums (&sums)[kParts][P], size_t block, size_t pixel) {
  __m512i columns[P][1];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) columns[p][0] = sums[0][p];
  store_codes<P, 1>(codes, columns, block, pixel);
}
