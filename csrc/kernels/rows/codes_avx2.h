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
inline __m256i rounded_8(const CodesArgs& a, __m256i sums, __m256 m, __m256 b, size_t at) {
  __m256 v = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), m), b);
  if (a.residual != nullptr) {
    const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(a.residual + at));
    const __m256i sign = _mm256_set1_epi32(a.sign);
    const __m256i level = _mm256_sub_epi32(_mm256_xor_si256(_mm256_cvtepu8_epi32(codes), sign), sign);
    v = _mm256_add_ps(v, _mm256_mul_ps(_mm256_cvtepi32_ps(level), _mm256_set1_ps(a.scale)));
  }
  return _mm256_cvtps_epi32(_mm256_mul_ps(v, _mm256_set1_ps(a.inv_step)));
}

// 16 codes, cut behind the last channel.
inline void store_16_codes(const CodesArgs& a, size_t pixel, size_t block, __m128i codes) {
  uint8_t* to = a.codes + a.targets[pixel] + block * kLanes;
  const size_t left = a.channels - block * kLanes;
  if (left >= kLanes) return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
  alignas(16) uint8_t bytes[kLanes];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), codes);
  __builtin_memcpy(to, bytes, left);
}

// Codes of P neighbouring pixels of one block.
template <int P>
KOMPAKT_INLINE inline void store_codes(const CodesArgs& a, const __m256i (&low)[P], const __m256i (&high)[P],
                                       size_t block, size_t pixel) {
  const __m256 m[2] = {_mm256_loadu_ps(a.m + block * kLanes), _mm256_loadu_ps(a.m + block * kLanes + 8)};
  const __m256 b[2] = {_mm256_loadu_ps(a.b + block * kLanes), _mm256_loadu_ps(a.b + block * kLanes + 8)};
  KOMPAKT_UNROLL
  for (int p = 0; p < P; p += 2) {
    const size_t at = (pixel + p) * a.residual_pitch + block * kLanes;
    __m256i v[4];
    v[0] = rounded_8(a, low[p], m[0], b[0], at);
    v[1] = rounded_8(a, high[p], m[1], b[1], at + 8);
    v[2] = p + 1 < P ? rounded_8(a, low[(p + 1) % P], m[0], b[0], at + a.residual_pitch) : v[0];
    v[3] = p + 1 < P ? rounded_8(a, high[(p + 1) % P], m[1], b[1], at + a.residual_pitch + 8) : v[1];
    const __m256i codes = pack_codes(a, v);
    store_16_codes(a, pixel + p, block, _mm256_castsi256_si128(codes));
    if (p + 1 < P) store_16_codes(a, pixel + p + 1, block, _mm256_extracti128_si256(codes, 1));
  }
}
