// Parts of depthwise convolution with vpmaddwd: pairs of taps of 16 channels, widened to 16 bits; 2 * 255 * 127 fits 32
// bits. Unpacking keeps 128-bit lanes apart, so `low` stands for channels 0-3 and 8-11, `high` for 4-7 and 12-15.
#pragma once

struct Column {
  __m256i upper_low, upper_high, lower_low, lower_high;  // taps 0 and 1, taps 2 and 3
};
using ColumnWeight = Column;
struct DepthwiseSums {
  __m256i low, high;
};

inline __m256i load_16_wide(const uint8_t* at) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

inline Column load_column(const uint8_t* x, const size_t* taps) {
  const __m256i r0 = load_16_wide(x + taps[0]), r1 = load_16_wide(x + taps[1]);
  const __m256i r2 = load_16_wide(x + taps[2]), r3 = load_16_wide(x + taps[3]);
  return {_mm256_unpacklo_epi16(r0, r1), _mm256_unpackhi_epi16(r0, r1), _mm256_unpacklo_epi16(r2, r3),
          _mm256_unpackhi_epi16(r2, r3)};
}

// Pairs of eight channels: four at `at`, four at `at` + 32 bytes, each four bytes.
inline void load_pairs(const int8_t* at, __m256i& upper, __m256i& lower) {
  const __m256 near = _mm256_castsi256_ps(
      _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at))));
  const __m256 far = _mm256_castsi256_ps(
      _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 32))));
  upper = _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(near, far, 0x88)), 0xd8);
  lower = _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(near, far, 0xdd)), 0xd8);
}

inline ColumnWeight load_weight(const int8_t* at) {
  ColumnWeight weight;
  load_pairs(at, weight.upper_low, weight.lower_low);
  load_pairs(at + 16, weight.upper_high, weight.lower_high);
  return weight;
}

inline DepthwiseSums no_sums() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }

inline void add_products(DepthwiseSums& sums, const Column& x, const ColumnWeight& w) {
  add_wide(sums.low, _mm256_madd_epi16(x.upper_low, w.upper_low));
  add_wide(sums.high, _mm256_madd_epi16(x.upper_high, w.upper_high));
  add_wide(sums.low, _mm256_madd_epi16(x.lower_low, w.lower_low));
  add_wide(sums.high, _mm256_madd_epi16(x.lower_high, w.lower_high));
}

// Puts channels into their order, too.
inline void add_bias(DepthwiseSums& sums, const int32_t* at) {
  const __m256i low = _mm256_permute2x128_si256(sums.low, sums.high, 0x20);
  const __m256i high = _mm256_permute2x128_si256(sums.low, sums.high, 0x31);
  sums = {_mm256_add_epi32(low, load_256(at)), _mm256_add_epi32(high, load_256(at + 8))};
}

inline void store_sums(const DepthwiseSums& sums, int32_t* at) {
  store_256(at, sums.low);
  store_256(at + 8, sums.high);
}

template <int P>
inline void store_depthwise(const CodesArgs& codes, const DepthwiseSums (&sums)[P], size_t pixel) {
  __m256i low[P], high[P];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    low[p] = sums[p].low;
    high[p] = sums[p].high;
  }
  store_codes<P>(codes, low, high, 0, pixel);
}
