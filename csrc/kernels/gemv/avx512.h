// Products with packed weights: codes become levels by vpermb, levels meet operands in vpdpbusd.
//
// vpermb looks at the low 6 bits of an index only. Codes of 2 and 3 bits therefore need no mask: a table of 64 entries
// that repeats along the other bits finds the code where it lies. One such table exists for each place in a byte.
//
// Evenly spaced levels of 2 and 4 bits are not looked up: codes, where they lie in a byte, are the unsigned factors of
// vpdpbusd, operands the signed ones. Every place has sums of its own, which are shifted once at the end.
#pragma once

// Widest codes that are expanded, besides 8.
constexpr int kGemvBits = 7;

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
    KOMPAKT_UNROLL
    for (int i = 0; i < table_count<B>; ++i) table[i] = _mm512_permutexvar_epi8(patterns[i], all);
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

// Codes of vector I of a chunk, times 2^(B I) or, with `is_shifted`, times one.
template <int B, int I>
KOMPAKT_INLINE inline __m512i codes_at(const uint8_t* chunk, bool is_shifted) {
  constexpr int shift = B * I;
  const __m512i word = _mm512_loadu_si512(chunk);
  const __m512i codes = is_shifted && shift > 0 ? _mm512_srli_epi16(word, shift) : word;
  return _mm512_and_si512(codes, _mm512_set1_epi8(static_cast<char>(((1 << B) - 1) << (is_shifted ? 0 : shift))));
}

// Sums of one quad of rows x P images. Plain arrays and references: g++ 12 keeps in memory what closures capture.
// C: codes are multiplied.
template <int B, int P, bool C>
struct Quad {
  static constexpr bool has_places = C && P == 1;  // sums of their own for every place in a byte
  static constexpr int chains = has_places ? Packing<B>::vectors : P == 1 ? 2 : 1;  // enough to hide the latency
  using Sums = __m512i[chains][P][4];
  using Tables = __m512i[4][table_count<B> + 1];
};

// Adds vector I of a chunk and those behind it, of which `count` operands are left.
template <int B, int P, bool C, int I>
KOMPAKT_INLINE inline void add_vectors(const uint8_t* w, const uint8_t* const (&x)[P], size_t at, size_t count,
                                       const __m512i* patterns, typename Quad<B, P, C>::Tables& table,
                                       typename Quad<B, P, C>::Sums& sum) {
  using Quad = Quad<B, P, C>;
  if constexpr (I < Packing<B>::vectors) {
    if (count <= 64 * I) return;
    const __mmask64 used = count >= 64 * I + 64 ? ~__mmask64{0} : ~__mmask64{0} >> (64 * I + 64 - count);
    constexpr const int8_t* signed_bytes = nullptr;
    __m512i operand[P];
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) operand[p] = _mm512_maskz_loadu_epi8(used, x[p] + at + 64 * I);
    KOMPAKT_UNROLL
    for (int r = 0; r < 4; ++r) {
      const uint8_t* chunk = w + r * Packing<B>::bytes;
      if constexpr (C) {
        const __m512i codes = codes_at<B, I>(chunk, !Quad::has_places);
        KOMPAKT_UNROLL
        for (int p = 0; p < P; ++p) accumulate(sum[I % Quad::chains][p][r], codes, signed_bytes, operand[p]);
      } else {
        const __m512i level = expand<B, I>(chunk, table[r], patterns);
        KOMPAKT_UNROLL
        for (int p = 0; p < P; ++p) accumulate(sum[I % Quad::chains][p][r], operand[p], signed_bytes, level);
      }
    }
    add_vectors<B, P, C, I + 1>(w, x, at, count, patterns, table, sum);
  }
}

// Sum of the operands of an image, signed bytes.
inline int32_t sum_operands(const uint8_t* x, size_t count) {
  __m512i sum = _mm512_setzero_si512();
  for (size_t at = 0; at < count; at += 64) {
    const __mmask64 used = count - at >= 64 ? ~__mmask64{0} : ~__mmask64{0} >> (64 + at - count);
    sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), _mm512_maskz_loadu_epi8(used, x + at));
  }
  return _mm512_reduce_add_epi32(sum);
}

// Sums of the chains of one image.
template <int B, int P, bool C>
KOMPAKT_INLINE inline __m128i sum_chains(typename Quad<B, P, C>::Sums& sum, int p) {
  constexpr int chains = Quad<B, P, C>::chains;
  KOMPAKT_UNROLL
  for (int i = 4; i < 4 * chains; ++i) {
    const __m512i more = sum[i / 4][p][i % 4];
    sum[0][p][i % 4] = _mm512_add_epi32(sum[0][p][i % 4], C ? _mm512_srai_epi32(more, i / 4 * B) : more);
  }
  return sum_lanes(sum[0][p][0], sum[0][p][1], sum[0][p][2], sum[0][p][3]);
}

inline __m128i load_quad(const int32_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

// Quads [first, end) x P images. A table that all rows share is loaded once.
template <int B, int P, bool C>
void gemv_tile(const GemvArgs& a, const __m512i* patterns, size_t first, size_t end, size_t image) {
  constexpr size_t step = 64 * Packing<B>::vectors;
  const uint8_t* x[P];
  __m128i total[P];  // of an image's operands
  typename Quad<B, P, C>::Tables table;
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    x[p] = a.in + (image + p) * a.in_pitch;
    if (C) total[p] = _mm_set1_epi32(sum_operands(x[p], a.inputs));
  }
  for (size_t quad = first; quad < end; ++quad) {
    if (!C && (quad == first || a.table_pitch > 0)) {
      KOMPAKT_UNROLL
      for (int r = 0; r < 4; ++r) load_tables<B>(a.tables + (quad * 4 + r) * a.table_pitch, patterns, table[r]);
    }
    typename Quad<B, P, C>::Sums sum;
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      KOMPAKT_UNROLL
      for (int i = 0; i < 4 * Quad<B, P, C>::chains; ++i) sum[i / 4][p][i % 4] = _mm512_setzero_si512();
    }
    const uint8_t* w = quad_weights<B>(a, quad);
    size_t at = 0;
    for (; at + step <= a.inputs; at += step, w += 4 * Packing<B>::bytes)
      add_vectors<B, P, C, 0>(w, x, at, step, patterns, table, sum);
    add_vectors<B, P, C, 0>(w, x, at, a.inputs - at, patterns, table, sum);
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      __m128i all = sum_chains<B, P, C>(sum, p);
      if (C)
        all = _mm_add_epi32(_mm_mullo_epi32(all, load_quad(a.steps + quad * 4)),
                            _mm_mullo_epi32(total[p], load_quad(a.bases + quad * 4)));
      int32_t* out = a.out + (image + p) * a.pitch + quad * 4;
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_add_epi32(load_quad(a.bias + quad * 4), all));
    }
  }
}

// Quads whose weights stay near the core while tiles of images read them in turn.
constexpr size_t kQuads = 8;

template <int B, bool C>
void gemv_quads(const GemvArgs& a) {
  __m512i patterns[table_count<B> + 1];
  for (int i = 0; i < table_count<B>; ++i)
    patterns[i] = Packing<B>::is_string ? spread_pattern(B) : index_pattern(i * B, (1 << B) - 1);
  const size_t run = a.images == 1 ? a.quads : kQuads;
  for (size_t q = 0; q < a.quads; q += run) {
    const size_t end = a.quads - q < run ? a.quads : q + run;
    size_t image = 0;
    for (; image + 4 <= a.images; image += 4) gemv_tile<B, 4, C>(a, patterns, q, end, image);
    for (; image + 2 <= a.images; image += 2) gemv_tile<B, 2, C>(a, patterns, q, end, image);
    for (; image < a.images; ++image) gemv_tile<B, 1, C>(a, patterns, q, end, image);
  }
}

// Widths whose codes are multiplied, as bits.
constexpr unsigned kGemvCodes = 1U << 2 | 1U << 4;

template <int B>
void gemv_bits(const GemvArgs& a) {
  if constexpr ((kGemvCodes >> B & 1) != 0)
    if (a.bases != nullptr) return gemv_quads<B, true>(a);
  gemv_quads<B, false>(a);
}
