// Table look-ups and bit packing, which loops do not express well.
#pragma once

void map(const uint8_t* code, size_t n, const uint8_t* map, int bits, uint8_t* out) {
  size_t i = 0;
  if (bits <= 4) {
    const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(map)));
    for (; i + 32 <= n; i += 32) {
      const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(code + i));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_shuffle_epi8(table, codes));
    }
  }
  map_table(code + i, n - i, map, bits, out + i);
}

inline __m256 look_up_8(const uint8_t* code, __m256 table) {
  const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(code));
  return _mm256_permutevar8x32_ps(table, _mm256_cvtepu8_epi32(codes));
}

void add_codes(float* x, size_t n, const uint8_t* code, const float* values, int bits) {
  size_t i = 0;
  if (bits <= 3) {
    const __m256 table = _mm256_loadu_ps(values);
    for (; i + 8 <= n; i += 8)
      _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), look_up_8(code + i, table)));
  }
  add_codes_table(x + i, n - i, code + i, values, bits);
}

void decode(const uint8_t* code, size_t n, const float* values, int bits, float* x) {
  size_t i = 0;
  if (bits <= 3) {
    const __m256 table = _mm256_loadu_ps(values);
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(x + i, look_up_8(code + i, table));
  }
  decode_table(code + i, n - i, values, bits, x + i);
}

void pack(const uint8_t* code, size_t n, int plane, uint8_t* out) {
  const __m128i shift = _mm_cvtsi32_si128(7 - plane);
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    // Moves bit `plane` of every byte to its top bit; bits that cross from the lower byte land below it.
    const __m256i top = _mm256_sll_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(code + i)), shift);
    const int32_t bits = _mm256_movemask_epi8(top);
    __builtin_memcpy(out + i / 8, &bits, sizeof bits);
  }
  pack_tail(code + i, n - i, plane, out + i / 8);
}
