// Parts of depthwise convolution with vpmaddwd: pairs of taps of 8 channels, widened to 16 bits; 2 * 255 * 127 fits 32
// bits. Parts are halves of a block, so that the weights of nine taps stay in registers.
#pragma once

constexpr int kParts = 2;
constexpr size_t kPartLanes = kLanes / kParts;

struct Column {
  __m256i upper, lower;  // taps 0 and 1, taps 2 and 3
};
using ColumnWeight = Column;
using PartSums = __m256i;

inline __m128i load_8_bytes(const uint8_t* at) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)); }

template <bool kHasFourth>
inline Column load_column(const uint8_t* x, const size_t* taps) {
  const __m128i upper = _mm_unpacklo_epi8(load_8_bytes(x + taps[0]), load_8_bytes(x + taps[1]));
  if (!kHasFourth) return {_mm256_cvtepu8_epi16(upper), _mm256_cvtepu8_epi32(load_8_bytes(x + taps[2]))};
  const __m128i lower = _mm_unpacklo_epi8(load_8_bytes(x + taps[2]), load_8_bytes(x + taps[3]));
  return {_mm256_cvtepu8_epi16(upper), _mm256_cvtepu8_epi16(lower)};
}

// Four bytes of each channel at `at`.
inline ColumnWeight load_weight(const int8_t* at) {
  const auto widened = [at](size_t from) {
    return _mm256_castsi256_ps(
        _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at + from))));
  };
  const __m256 near = widened(0), far = widened(16);
  return {_mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(near, far, 0x88)), 0xd8),
          _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(near, far, 0xdd)), 0xd8)};
}

inline PartSums load_sums(const int32_t* at) { return load_256(at); }
inline void store_sums(PartSums sums, int32_t* at) { store_256(at, sums); }

inline void add_products(PartSums& sums, const Column& x, const ColumnWeight& w) {
  add_wide(sums, _mm256_madd_epi16(x.upper, w.upper));
  add_wide(sums, _mm256_madd_epi16(x.lower, w.lower));
}

template <int P>
inline void store_depthwise(const CodesArgs& codes, const PartSums (&sums)[kParts][P], size_t block, size_t pixel) {
  store_codes<P>(codes, sums[0], sums[1], block, pixel);
}
