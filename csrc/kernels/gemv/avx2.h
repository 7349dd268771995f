// Products with packed weights: codes of up to 4 bits become levels by vpshufb, vpmaddubsw multiplies.
//
// vpmaddubsw adds two products into 16 bits and saturates. Four ways keep it exact, by what the layer's ranges allow:
// codes, narrow (sums of `flush` times two products fit 16 bits), wide (two products fit) and signed. Where levels are
// base + step * code, the code is multiplied with a signed operand, and base times the sum of the operands is added: no
// look-up, and as many products fit 16 bits as any way allows. With signs the operand is x - 128, whose magnitude, at most 128, is multiplied by the level with the operand's sign: two
// such products always fit, and 128 times the sum of levels is added at the end.
#pragma once

// Widest codes that are expanded, besides 8.
constexpr int kGemvBits = 4;

// Widths whose codes are multiplied, as bits.
constexpr unsigned kGemvCodes = 1U << 1 | 1U << 2 | 1U << 3 | 1U << 4;

enum class Sums { narrow, wide, is_signed, codes };

template <Sums S>
constexpr bool is_narrow = S == Sums::narrow || S == Sums::codes;

// Chunks whose products of codes with signed bytes fit 16 bits together.
template <int B>
constexpr size_t code_chunks = B == 8 ? 1 : 32767 / (2 * 128 * ((1 << B) - 1)) / (2 * Packing<B>::vectors);
static_assert(code_chunks<1> > 0 && code_chunks<2> > 0 && code_chunks<3> > 0 && code_chunks<4> > 0);

// Rows of a quad at a time: codes need no tables, so that all four fit the registers.
template <int P, Sums S>
constexpr int row_count = S == Sums::codes && P == 1 ? 4 : 2;

// Places of codes in the low 4 bits of a byte: one table per row for each.
template <int B>
constexpr int table_count = B == 8 ? 0 : B == 3 ? 1 : 4 / B;

template <int B>
KOMPAKT_INLINE inline void load_tables(const int8_t* levels, __m256i* table) {
  if constexpr (B == 8) return;
  const __m128i all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
  const __m128i index = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  KOMPAKT_UNROLL
  for (int i = 0; i < table_count<B>; ++i)  // the table repeats above its codes, so bits above them do not matter
    table[i] = _mm256_broadcastsi128_si256(
        _mm_shuffle_epi8(all, _mm_and_si128(_mm_srl_epi16(index, _mm_cvtsi32_si128(i * B)), _mm_set1_epi8(15 >> i * B))));
}

inline __m256i low_bits(__m256i v, int mask) { return _mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(mask))); }

// Codes [32 half, 32 half + 32) of vector I of a chunk; for 8 bits, levels.
template <int B, int I>
KOMPAKT_INLINE inline __m256i codes_at(const uint8_t* chunk, size_t half) {
  const uint8_t* at = chunk + 32 * half;
  if constexpr (B == 8) {
    return load_256(at);
  } else if constexpr (B == 3 && I >= 6) {
    const __m256i low = low_bits(_mm256_srli_epi16(load_256(at + (I - 6) * 64), 6), 3);
    const __m256i high = low_bits(_mm256_srli_epi16(load_256(at + 128), I - 2), 4);
    return _mm256_or_si256(low, high);
  } else if constexpr (B == 3) {
    return low_bits(_mm256_srli_epi16(load_256(at + I / 2 * 64), I % 2 * 3), 7);
  } else {
    return low_bits(_mm256_srli_epi16(load_256(at), I * B), (1 << B) - 1);
  }
}

// Their levels. With 1 and 2 bits four bits with several codes serve several tables.
template <int B, int I>
KOMPAKT_INLINE inline __m256i levels_at(const uint8_t* chunk, size_t half, const __m256i* table) {
  if constexpr (B == 8) {
    return codes_at<B, I>(chunk, half);
  } else if constexpr (B == 3) {
    return _mm256_shuffle_epi8(table[0], codes_at<B, I>(chunk, half));
  } else {
    constexpr int tables = table_count<B>;
    return _mm256_shuffle_epi8(table[I % tables], codes_at<4, I / tables>(chunk, half));
  }
}

// Sums over the lanes of two vectors, in the low half; or of four.
inline __m128i sum_lanes(const __m256i (&v)[2]) {
  const __m256i pairs = _mm256_hadd_epi32(v[0], v[1]);
  const __m256i quads = _mm256_hadd_epi32(pairs, pairs);
  return _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
}
inline __m128i sum_lanes(const __m256i (&v)[4]) {
  const __m256i quads = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
  return _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
}

template <int R>
inline __m128i load_rows(const int32_t* at) {
  const auto* rows = reinterpret_cast<const __m128i*>(at);
  return R == 4 ? _mm_loadu_si128(rows) : _mm_loadl_epi64(rows);
}

template <Sums S>
KOMPAKT_INLINE inline void add_products(__m256i& narrow, __m256i& sum, __m256i operand, __m256i level) {
  if constexpr (S == Sums::codes) {
    add_narrow(narrow, _mm256_maddubs_epi16(level, operand));
  } else if constexpr (S == Sums::narrow) {
    add_narrow(narrow, _mm256_maddubs_epi16(operand, level));
  } else {
    if constexpr (S == Sums::is_signed) {
      level = _mm256_sign_epi8(level, operand);
      operand = _mm256_abs_epi8(operand);
    }
    add_wide(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(operand, level), _mm256_set1_epi16(1)));
  }
}

// Bytes below `count` of 32.
inline __m256i first_bytes(size_t count) {
  alignas(32) static const uint8_t window[64] = {
      255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
      255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
  return load_256(window + 32 - (count < 32 ? count : 32));
}

// Sums of R rows of a quad x P images, and the rows' tables. Plain arrays: g++ 12 keeps in memory what closures capture.
template <int B, int P, int R>
struct Rows {
  using Sums = __m256i[P][R];
  using Tables = __m256i[R][table_count<B> + 1];
};

template <int P, int R>
KOMPAKT_INLINE inline void widen(__m256i (&narrow)[P][R], __m256i (&sum)[P][R]) {
  KOMPAKT_UNROLL
  for (int i = 0; i < R * P; ++i) {
    add_wide(sum[i / R][i % R], _mm256_madd_epi16(narrow[i / R][i % R], _mm256_set1_epi16(1)));
    narrow[i / R][i % R] = _mm256_setzero_si256();
  }
}

// Adds half a vector, 32 operands, number I in a chunk, and those behind it, of which `count` operands are left.
template <int B, int P, Sums S, int R, int I>
KOMPAKT_INLINE inline void add_halves(const uint8_t* w, const uint8_t* const (&x)[P], size_t at, size_t count,
                                      typename Rows<B, P, R>::Tables& table, typename Rows<B, P, R>::Sums& narrow,
                                      typename Rows<B, P, R>::Sums& sum) {
  if constexpr (I < 2 * Packing<B>::vectors) {
    if (count <= 32 * I) return;
    __m256i level[R];
    KOMPAKT_UNROLL
    for (int r = 0; r < R; ++r) {
      const uint8_t* chunk = w + r * Packing<B>::bytes;
      level[r] = S == Sums::codes ? codes_at<B, I / 2>(chunk, I % 2) : levels_at<B, I / 2>(chunk, I % 2, table[r]);
    }
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      __m256i operand = load_256(x[p] + at + 32 * I);
      if (S == Sums::is_signed) operand = _mm256_xor_si256(operand, _mm256_set1_epi8(-128));
      if (count < 32 * I + 32) operand = _mm256_and_si256(operand, first_bytes(count - 32 * I));
      KOMPAKT_UNROLL
      for (int r = 0; r < R; ++r) add_products<S>(narrow[p][r], sum[p][r], operand, level[r]);
    }
    add_halves<B, P, S, R, I + 1>(w, x, at, count, table, narrow, sum);
  }
}

// Sum of the operands of an image, signed bytes.
inline int32_t sum_operands(const uint8_t* x, size_t count) {
  __m256i sum = _mm256_setzero_si256();
  const __m256i sign = _mm256_set1_epi8(-128);
  for (size_t at = 0; at < count; at += 32) {
    const __m256i bytes = _mm256_and_si256(_mm256_xor_si256(load_256(x + at), sign), first_bytes(count - at));
    sum = _mm256_add_epi64(sum, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
  }
  const __m256i all[2] = {sum, sum};  // halves of 64-bit sums, which stay below 2^31
  return _mm_cvtsi128_si32(sum_lanes(all)) - static_cast<int32_t>(128 * count);
}

template <int B, int R>
KOMPAKT_INLINE inline void load_rows_tables(const GemvArgs& a, size_t row, __m256i (&table)[R][table_count<B> + 1]) {
  KOMPAKT_UNROLL
  for (int r = 0; r < R; ++r) load_tables<B>(a.tables + (row + r) * a.table_pitch, table[r]);
}

// Asks for the chunks of all four rows that come a little later, so that a quad's second pair of rows finds them near. Four
// rows at a time read in one direction, faster without.
// Wide chunks of 8 bits are read fast enough without, and slower with it.
template <int B>
KOMPAKT_INLINE inline void fetch_chunks(const uint8_t* w) {
  constexpr size_t kAhead = 2048;
  KOMPAKT_UNROLL
  for (size_t i = 0; i < 4 * Packing<B>::bytes; i += 64)
    _mm_prefetch(reinterpret_cast<const char*>(w + kAhead + i), _MM_HINT_T0);
}

// Rows [first, end), two or four at a time, x P images. A table that all rows share is loaded once.
template <int B, int P, Sums S>
void gemv_tile(const GemvArgs& a, size_t first, size_t end, size_t image) {
  constexpr int R = row_count<P, S>;
  constexpr size_t step = 64 * Packing<B>::vectors;
  const size_t full = a.inputs / step, runs = S == Sums::narrow ? a.flush / (2 * Packing<B>::vectors) : full;
  const size_t room = S == Sums::codes ? code_chunks<B> : runs > 0 ? runs : 1;
  const uint8_t* x[P];
  __m128i total[P];  // of an image's operands
  typename Rows<B, P, R>::Tables table;
  if (S != Sums::codes) load_rows_tables<B, R>(a, first, table);
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    x[p] = a.in + (image + p) * a.in_pitch;
    if (S == Sums::codes) total[p] = _mm_set1_epi32(sum_operands(x[p], a.inputs));
  }
  for (size_t row = first; row < end; row += R) {
    if (S != Sums::codes && row > first && a.table_pitch > 0) load_rows_tables<B, R>(a, row, table);
    typename Rows<B, P, R>::Sums narrow, sum;
    KOMPAKT_UNROLL
    for (int i = 0; i < R * P; ++i) narrow[i / R][i % R] = sum[i / R][i % R] = _mm256_setzero_si256();
    const uint8_t* w = quad_weights<B>(a, row / 4) + row % 4 * Packing<B>::bytes;
    size_t at = 0;
    for (size_t done = 0; done < full;) {
      const size_t stop = full - done < room ? full : done + room;
      for (; done < stop; ++done, w += 4 * Packing<B>::bytes, at += step) {
        if (B < 8 && R == 2 && row % 4 == 0) fetch_chunks<B>(w);
        add_halves<B, P, S, R, 0>(w, x, at, step, table, narrow, sum);
      }
      if (is_narrow<S>) widen(narrow, sum);
    }
    add_halves<B, P, S, R, 0>(w, x, at, a.inputs - at, table, narrow, sum);
    if (is_narrow<S>) widen(narrow, sum);
    __m128i bias = load_rows<R>(a.bias + row);
    if (S == Sums::is_signed) bias = _mm_add_epi32(bias, _mm_slli_epi32(load_rows<R>(a.sums + row), 7));
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      __m128i all = sum_lanes(sum[p]);
      if (S == Sums::codes)
        all = _mm_add_epi32(_mm_mullo_epi32(all, load_rows<R>(a.steps + row)),
                            _mm_mullo_epi32(total[p], load_rows<R>(a.bases + row)));
      auto* out = reinterpret_cast<__m128i*>(a.out + (image + p) * a.pitch + row);
      if (R == 4)
        _mm_storeu_si128(out, _mm_add_epi32(bias, all));
      else
        _mm_storel_epi64(out, _mm_add_epi32(bias, all));
    }
  }
}

// Rows whose weights stay near the core while tiles of images read them in turn.
constexpr size_t kRows = 32;

template <int B, Sums S>
void gemv_rows(const GemvArgs& a) {
  const size_t rows = 4 * a.quads;
  const size_t run = a.images == 1 ? rows : kRows;
  for (size_t row = 0; row < rows; row += run) {
    const size_t end = rows - row < run ? rows : row + run;
    size_t image = 0;
    for (; image + 4 <= a.images; image += 4) gemv_tile<B, 4, S>(a, row, end, image);
    for (; image < a.images; ++image) gemv_tile<B, 1, S>(a, row, end, image);
  }
}

template <int B>
void gemv_bits(const GemvArgs& a) {
  if (B < 8 && a.bases != nullptr) return gemv_rows<B, Sums::codes>(a);
  if (a.flush >= 2 * Packing<B>::vectors) return gemv_rows<B, Sums::narrow>(a);
  if (a.flush > 0) return gemv_rows<B, Sums::wide>(a);
  gemv_rows<B, Sums::is_signed>(a);
}
