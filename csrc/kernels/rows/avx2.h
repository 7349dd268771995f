// Table look-ups and bit packing, which loops do not express well.
#pragma once

// One of 256 bytes, in sixteen look-ups of which the one with the code's upper half finds something: vpshufb gives 0
// where the index has its top bit set, which saturation sees to.
inline __m256i look_up_256(const uint8_t* map, __m256i codes) {
  __m256i found = _mm256_setzero_si256();
  for (int upper = 0; upper < 16; ++upper) {
    const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(map + 16 * upper));
    const __m256i inside = _mm256_xor_si256(codes, _mm256_set1_epi8(static_cast<char>(16 * upper)));
    const __m256i index = _mm256_adds_epu8(inside, _mm256_set1_epi8(0x70));
    found = _mm256_or_si256(found, _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(part), index));
  }
  return found;
}

void map(const uint8_t* code, size_t n, const uint8_t* map, int bits, uint8_t* out) {
  size_t i = 0;
  if (bits > 4) {
    for (; i + 32 <= n; i += 32) {
      const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(code + i));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), look_up_256(map, codes));
    }
  } else {
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
    const uint64_t bits = _pdep_u64(static_cast<uint32_t>(_mm256_movemask_epi8(top)), 0xf0f0f0f0f0f0f0f0u);
    __builtin_memcpy(out + i / 4, &bits, sizeof bits);
  }
  pack_tail<4>(code + i, n - i, plane, out + i / 4);
}

template <Residual R>
inline __m256 residual_8(const RescaleArgs& a, size_t at, const __m256 (&table)[2]) {
  if (R == Residual::Real) return _mm256_loadu_ps(reinterpret_cast<const float*>(a.map) + at);
  const __m256i code = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(a.map + at)));
  if (R == Residual::Table) {
    const __m256 low = _mm256_permutevar8x32_ps(table[0], code), high = _mm256_permutevar8x32_ps(table[1], code);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)));  // bit 3 chooses
  }
  const __m256i sign = _mm256_set1_epi32(a.sign);
  const __m256i level = _mm256_sub_epi32(_mm256_xor_si256(code, sign), sign);
  return _mm256_mul_ps(_mm256_cvtepi32_ps(level), _mm256_set1_ps(a.scale));
}

// max(v, lo) and min(v, hi) give the bound where v is NaN, as the definition does; v is in [-128, 255] when rounded.
template <Residual R>
void rescale_8(const RescaleArgs& a) {
  const __m256 zero = _mm256_setzero_ps();
  const __m256 table[2] = {R == Residual::Table ? _mm256_loadu_ps(a.values) : zero,
                           R == Residual::Table ? _mm256_loadu_ps(a.values + 8) : zero};
  for (size_t c = 0; c < a.lanes; c += 8) {
    const __m256 m = _mm256_loadu_ps(a.m + c), b = _mm256_loadu_ps(a.b + c);
    for (size_t p = 0; p < a.pixels; ++p) {
      const int32_t* x = a.x + p * a.pitch + c;
      __m256 v = _mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
      v = _mm256_add_ps(_mm256_mul_ps(v, m), b);
      if (R != Residual::None) v = _mm256_add_ps(v, residual_8<R>(a, p * a.map_pitch + c, table));
      v = _mm256_mul_ps(v, _mm256_set1_ps(a.inv_step));
      v = _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(a.lo)), _mm256_set1_ps(a.hi));
      const __m256i code = _mm256_and_si256(_mm256_cvtps_epi32(v), _mm256_set1_epi32(a.mask));
      const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(a.code + p * a.pitch + c), _mm_packus_epi16(words, words));
    }
  }
}

void rescale_vector(const RescaleArgs& a) {
  switch (a.residual) {
    case Residual::None: return rescale_8<Residual::None>(a);
    case Residual::Real: return rescale_8<Residual::Real>(a);
    case Residual::Affine: return rescale_8<Residual::Affine>(a);
    case Residual::Table: return rescale_8<Residual::Table>(a);
  }
}
