// Bit planes with a nibble table (vpshufb): four 64-bit lanes per vector, four vectors per block. Byte counters hold
// at most 8 per word, so 31 words fit before they are widened (31 * 8 = 248).
#pragma once

constexpr size_t kByteCounterWords = 31;

inline __m256i count_bytes(__m256i v, __m256i table, __m256i nibble) {
  const __m256i low = _mm256_and_si256(v, nibble);
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble);
  return _mm256_add_epi8(_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(table, high));
}

// Four channels (one vector of 64-bit counts) of P pixels for one pair of planes.
template <int P>
void count_pair(const uint64_t* w, const uint64_t* x, size_t stride, size_t words, __m256i* count) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i nibble = _mm256_set1_epi8(15);
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) count[p] = _mm256_setzero_si256();
  for (size_t first = 0; first < words; first += kByteCounterWords) {
    const size_t end = words - first < kByteCounterWords ? words : first + kByteCounterWords;
    __m256i bytes[P];
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) bytes[p] = _mm256_setzero_si256();
    for (size_t k = first; k < end; ++k) {
      const __m256i weight = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + k * kLanes));
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) {
        const __m256i word = _mm256_set1_epi64x(static_cast<long long>(x[p * stride + k]));
        bytes[p] = _mm256_add_epi8(bytes[p], count_bytes(_mm256_and_si256(word, weight), table, nibble));
      }
    }
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p)
      count[p] = _mm256_add_epi64(count[p], _mm256_sad_epu8(bytes[p], _mm256_setzero_si256()));
  }
}

// The low 32 bits of four 64-bit lanes.
inline __m128i narrow_counts(__m256i count) {
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
  return _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(count, order));
}

inline __m128i load_128(const int32_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

template <int P>
void planes_tile(const PlanesArgs& a, size_t block, size_t quarter, size_t pixel) {
  const size_t lane = block * kLanes + quarter * 4;
  const __m128i window_factor = load_128(a.window_factor + lane);
  __m128i sum[P];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    sum[p] = _mm_add_epi32(load_128(a.bias + a.bias_rows[pixel + p] + lane),
                           _mm_mullo_epi32(window_factor, _mm_set1_epi32(a.sums[pixel + p])));
  const size_t stride = a.operand_planes * a.words;
  for (size_t i = 0; i < a.weight_planes; ++i) {
    const size_t plane = block * a.weight_planes + i;
    const uint64_t* w = a.weights + plane * a.words * kLanes + quarter * 4;
    const __m128i weight_factor = load_128(a.weight_factor + plane * kLanes + quarter * 4);
    for (size_t j = 0; j < a.operand_planes; ++j) {
      const __m128i factor = _mm_mullo_epi32(weight_factor, _mm_set1_epi32(a.operand_factor[j]));
      __m256i count[P];
      count_pair<P>(w, a.operands + pixel * stride + j * a.words, stride, a.words, count);
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) sum[p] = _mm_add_epi32(sum[p], _mm_mullo_epi32(factor, narrow_counts(count[p])));
    }
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(a.out + (pixel + p) * a.pitch + lane), sum[p]);
}

void planes(const PlanesArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b) {
    for (size_t quarter = 0; quarter < 4; ++quarter) {
      size_t p = 0;
      for (; p + 4 <= a.pixel_count; p += 4) planes_tile<4>(a, b, quarter, p);
      for (; p < a.pixel_count; ++p) planes_tile<1>(a, b, quarter, p);
    }
  }
}
