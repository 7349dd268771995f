// Products with packed weights: codes become levels by vpermb, levels meet operands in vpdpbusd.
//
// vpermb looks at the low 6 bits of an index only. Codes of 2 and 3 bits therefore need no mask: a table of 64 entries
// that repeats along the other bits finds the code where it lies. One such table exists for each place in a byte.
#pragma once

// Look-up tables of one row: one for each place in the low 6 bits of a byte, two halves for 7 bits.
template <int B>
constexpr int table_count = B == 8 ? 0 : B == 7 || B == 3 ? 2 : B <= 2 ? 6 / B : 1;

// Byte j is (j >> shift) & mask.
inline __m512i index_pattern(int shift, int mask) {
  alignas(64) uint8_t pattern[64];
  for (int j = 0; j < 64; ++j) pattern[j] = static_cast<uint8_t>(j >> shift & mask);
  return _mm512_load_si512(pattern);
}

// Byte j of a 64-bit lane takes byte j of the lane's own `bytes` bytes; those above do not matter.
inline __m512i spread_pattern(int bytes) {
  alignas(64) uint8_t pattern[64];
  for (int j = 0; j < 64; ++j) pattern[j] = static_cast<uint8_t>((j / 8 * bytes + j % 8) & 63);
  return _mm512_load_si512(pattern);
}

template <int B>
inline __m512i spread_codes(const uint8_t* at, __m512i pattern) {
  const __m512i fields = _mm512_set1_epi64(static_cast<long long>(
      0x0706050403020100ULL * B));  // bit offset of code j: products stay below 64
  return _mm512_multishift_epi64_epi8(fields, _mm512_permutexvar_epi8(pattern, _mm512_loadu_si512(at)));
}

// Bits of `a` where `mask` is set, of `b` elsewhere.
inline __m512i select_bits(__m512i mask, __m512i a, __m512i b) { return _mm512_ternarylogic_epi64(mask, a, b, 0xca); }

// Tables of one row: of 64 entries, for codes at bit 0, B, 2 B of an index; or one of 128 entries for 7 bits.
template <int B>
KOMPAKT_INLINE inline void load_tables(const int8_t* levels, const __m512i* patterns, __m512i* table) {
  if constexpr (B == 7) {
    table[0] = _mm512_loadu_si512(levels);
    table[1] = _mm512_loadu_si512(levels + 64);
  } else if constexpr (B == 6) {
    table[0] = _mm512_loadu_si512(levels);
  } else if constexpr (B == 5) {
    table[0] = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(levels)));
  } else if constexpr (B != 8) {
    const __m512i all = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels)));
    for_each_index<table_count<B>>([&](auto i) KOMPAKT_INLINE {
      table[i] = _mm512_permutexvar_epi8(patterns[i], all);
    });
  }
}

// Levels of vector I of a chunk.
template <int B, int I>
KOMPAKT_INLINE inline __m512i expand(const uint8_t* chunk, const __m512i* table, const __m512i* patterns) {
  const __m512i* words = reinterpret_cast<const __m512i*>(chunk);
  constexpr int tables = table_count<B>;
  if constexpr (B == 8) {
    return _mm512_loadu_si512(words);
  } else if constexpr (B == 7) {
    return _mm512_permutex2var_epi8(table[0], spread_codes<B>(chunk, patterns[0]), table[1]);
  } else if constexpr (Packing<B>::is_string) {
    return _mm512_permutexvar_epi8(spread_codes<B>(chunk, patterns[0]), table[0]);
  } else if constexpr (B == 3 && I < 6) {
    return _mm512_permutexvar_epi8(_mm512_loadu_si512(words + I / 2), table[I % 2]);
  } else if constexpr (B == 3) {
    const __m512i low = _mm512_srli_epi16(_mm512_loadu_si512(words + (I - 6)), 6);
    const __m512i high = _mm512_srli_epi16(_mm512_loadu_si512(words + 2), I - 2);
    return _mm512_permutexvar_epi8(select_bits(_mm512_set1_epi8(3), low, high), table[0]);
  } else {
    constexpr int shift = I / tables * tables * B;
    const __m512i word = _mm512_loadu_si512(words);
    return _mm512_permutexvar_epi8(shift == 0 ? word : _mm512_srli_epi16(word, shift), table[I % tables]);
  }
}

// Sums over the lanes of four vectors.
inline __m128i sum_lanes(__m512i v0, __m512i v1, __m512i v2, __m512i v3) {
  const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(v0, v1), _mm512_unpackhi_epi32(v0, v1));
  const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(v2, v3), _mm512_unpackhi_epi32(v2, v3));
  const __m512i c = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
  const __m256i d = _mm256_add_epi32(_mm512_castsi512_si256(c), _mm512_extracti64x4_epi64(c, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(d), _mm256_extracti128_si256(d, 1));
}

// One quad of rows x P images.
template <int B, int P>
void gemv_tile(const GemvArgs& a, const __m512i* patterns, size_t quad, size_t image) {
  using Pack = Packing<B>;
  constexpr int chains = P == 1 ? 2 : 1;  // enough sums in flight to hide the latency
  const uint8_t* w = quad_weights<B>(a, quad);
  const uint8_t* x = a.in + image * a.in_pitch;
  __m512i table[4][table_count<B> + 1], sum[chains][P][4];
  for_each_index<4>([&](auto r) KOMPAKT_INLINE {
    load_tables<B>(a.tables + (quad * 4 + r) * a.table_pitch, patterns, table[r]);
    for_each_index<chains * P>([&](auto i) KOMPAKT_INLINE { sum[i / P][i % P][r] = _mm512_setzero_si512(); });
  });
  const auto add = [&](auto i, size_t at, __mmask64 used) KOMPAKT_INLINE {
    __m512i operand[P];
    for_each_index<P>([&](auto p) KOMPAKT_INLINE {
      operand[p] = _mm512_maskz_loadu_epi8(used, x + p * a.in_pitch + at + 64 * i);
    });
    for_each_index<4>([&](auto r) KOMPAKT_INLINE {
      const __m512i level = expand<B, i>(w + r * Pack::bytes, table[r], patterns);
      for_each_index<P>([&](auto p) KOMPAKT_INLINE { accumulate(sum[i % chains][p][r], operand[p], a.tables, level); });
    });
  };
  size_t at = 0;
  for (; at + 64 * Pack::vectors <= a.inputs; at += 64 * Pack::vectors, w += 4 * Pack::bytes)
    for_each_index<Pack::vectors>([&](auto i) KOMPAKT_INLINE { add(i, at, ~__mmask64{0}); });
  for_each_index<Pack::vectors>([&](auto i) KOMPAKT_INLINE {
    const size_t first = at + 64 * i;
    if (first < a.inputs) add(i, at, ~__mmask64{0} >> (a.inputs - first >= 64 ? 0 : 64 - (a.inputs - first)));
  });
  const __m128i bias = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a.bias + quad * 4));
  for_each_index<P>([&](auto p) KOMPAKT_INLINE {
    if (chains == 2)
      for_each_index<4>([&](auto r) KOMPAKT_INLINE {
        sum[0][p][r] = _mm512_add_epi32(sum[0][p][r], sum[chains - 1][p][r]);
      });
    const __m128i all = sum_lanes(sum[0][p][0], sum[0][p][1], sum[0][p][2], sum[0][p][3]);
    int32_t* out = a.out + (image + p) * a.pitch + quad * 4;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_add_epi32(bias, all));
  });
}

template <int B>
void gemv_rows(const GemvArgs& a) {
  __m512i patterns[table_count<B> + 1];
  for (int i = 0; i < table_count<B>; ++i)
    patterns[i] = Packing<B>::is_string ? spread_pattern(B) : index_pattern(i * B, (1 << B) - 1);
  for (size_t q = 0; q < a.quads; ++q) {
    size_t image = 0;
    for (; image + 4 <= a.images; image += 4) gemv_tile<B, 4>(a, patterns, q, image);
    for (; image + 2 <= a.images; image += 2) gemv_tile<B, 2>(a, patterns, q, image);
    for (; image < a.images; ++image) gemv_tile<B, 1>(a, patterns, q, image);
  }
}

void gemv(const GemvArgs& a) {
  switch (a.bits) {
    case 1: return gemv_rows<1>(a);
    case 2: return gemv_rows<2>(a);
    case 3: return gemv_rows<3>(a);
    case 4: return gemv_rows<4>(a);
    case 5: return gemv_rows<5>(a);
    case 6: return gemv_rows<6>(a);
    case 7: return gemv_rows<7>(a);
    default: return gemv_rows<8>(a);
  }
}
