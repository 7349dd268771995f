// Sums in registers to codes. Out of 32 sums in four vectors come 32 bytes.
#pragma once

// Packing keeps 128-bit lanes apart: dwords of the result hold numbers 0-3 of the vectors, then numbers 4-7.
// Rounded values, not yet clamped: packing saturates at the bounds of a byte, codes of fewer bits are cut behind it.
inline __m256i pack_codes(const CodesArgs& a, const __m256i (&v)[4]) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i lo = _mm256_set1_epi8(static_cast<char>(a.lo)), hi = _mm256_set1_epi8(static_cast<char>(a.hi));
  const __m256i first = _mm256_packs_epi32(v[0], v[1]), second = _mm256_packs_epi32(v[2], v[3]);
  __m256i codes;
  if (a.is_signed) {
    codes = _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(first, second), lo), hi);
    codes = _mm256_and_si256(codes, _mm256_set1_epi8(static_cast<char>(a.mask)));
  } else {
    codes = _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(first, second), lo), hi);
  }
  return _mm256_permutevar8x32_epi32(codes, order);
}

// `at`: index of the first of 8 codes to add.
template <bool kHasResidual>
inline __m256i rounded_8(const CodesArgs& a, __m256i sums, __m256 m, __m256 b, size_t at) {
  __m256 v = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), m), b);
  if (kHasResidual) {
    const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(a.residual + at));
    const __m256i sign = _mm256_set1_epi32(a.sign);
    const __m256i level = _mm256_sub_epi32(_mm256_xor_si256(_mm256_cvtepu8_epi32(codes), sign), sign);
    v = _mm256_add_ps(v, _mm256_mul_ps(_mm256_cvtepi32_ps(level), _mm256_set1_ps(a.scale)));
  }
  return _mm256_cvtps_epi32(_mm256_mul_ps(v, _mm256_set1_ps(a.inv_step)));
}

// 16 codes, cut behind the last channel.
inline void store_16_codes(uint8_t* to, __m128i codes, size_t left) {
  if (left >= kLanes) return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
  alignas(16) uint8_t bytes[kLanes];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), codes);
  __builtin_memcpy(to, bytes, left);
}

template <int P, bool kHasResidual>
KOMPAKT_INLINE inline void store_codes_of(const CodesArgs a, const __m256i (&low)[P], const __m256i (&high)[P],
                                          size_t block, size_t pixel) {
  const size_t channel = block * kLanes, left = a.channels - channel;
  const __m256 m[2] = {_mm256_loadu_ps(a.m + channel), _mm256_loadu_ps(a.m + channel + 8)};
  const __m256 b[2] = {_mm256_loadu_ps(a.b + channel), _mm256_loadu_ps(a.b + channel + 8)};
  const size_t* targets = a.targets + pixel;
  uint8_t* to = a.codes + channel;
  KOMPAKT_UNROLL
  for (int p = 0; p < P; p += 2) {
    const int next = p + 1 < P ? p + 1 : p;
    const size_t at = (pixel + p) * a.residual_pitch + channel, next_at = (pixel + next) * a.residual_pitch + channel;
    const __m256i v[4] = {rounded_8<kHasResidual>(a, low[p], m[0], b[0], at),
                          rounded_8<kHasResidual>(a, high[p], m[1], b[1], at + 8),
                          rounded_8<kHasResidual>(a, low[next], m[0], b[0], next_at),
                          rounded_8<kHasResidual>(a, high[next], m[1], b[1], next_at + 8)};
    const __m256i codes = pack_codes(a, v);
    store_16_codes(to + targets[p], _mm256_castsi256_si128(codes), left);
    if (p + 1 < P) store_16_codes(to + targets[p + 1], _mm256_extracti128_si256(codes, 1), left);
  }
}

// Codes of P neighbouring pixels of one block. The arguments are copied, so that no store of codes can change them.
template <int P>
KOMPAKT_INLINE inline void store_codes(const CodesArgs& a, const __m256i (&low)[P], const __m256i (&high)[P],
                                       size_t block, size_t pixel) {
  if (a.residual == nullptr) return store_codes_of<P, false>(a, low, high, block, pixel);
  store_codes_of<P, true>(a, low, high, block, pixel);
}
