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

// Levels of 8 codes to add, the first at index `at`.
inline __m256i residual_levels(const CodesArgs& a, size_t at) {
  const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(a.residual + at));
  const __m256i sign = _mm256_set1_epi32(a.sign);
  return _mm256_sub_epi32(_mm256_xor_si256(_mm256_cvtepu8_epi32(codes), sign), sign);
}

inline __m256i load_8(const int32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

// Parameters of 8 channels, by floats or by shifts, and what they make of 8 sums.
struct ByScale {
  __m256 m, b;

  ByScale(const CodesArgs& a, size_t channel) : m(_mm256_loadu_ps(a.m + channel)), b(_mm256_loadu_ps(a.b + channel)) {}
  template <bool kHasResidual>
  __m256i rounded(const CodesArgs& a, __m256i sums, size_t at) const {
    __m256 v = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), m), b);
    if (kHasResidual)
      v = _mm256_add_ps(v, _mm256_mul_ps(_mm256_cvtepi32_ps(residual_levels(a, at)), _mm256_set1_ps(a.scale)));
    return _mm256_cvtps_epi32(_mm256_mul_ps(v, _mm256_set1_ps(a.inv_step)));
  }
};

struct ByShift {
  __m256i left, offset, right, residual_left;

  ByShift(const CodesArgs& a, size_t channel)
      : left(load_8(a.left + channel)), offset(load_8(a.offset + channel)), right(load_8(a.right + channel)),
        residual_left(a.residual == nullptr ? left : load_8(a.residual_left + channel)) {}
  template <bool kHasResidual>
  __m256i rounded(const CodesArgs& a, __m256i sums, size_t at) const {
    __m256i v = _mm256_add_epi32(_mm256_sllv_epi32(sums, left), offset);
    if (kHasResidual) v = _mm256_add_epi32(v, _mm256_sllv_epi32(residual_levels(a, at), residual_left));
    return _mm256_srav_epi32(v, right);
  }
};

// 16 codes, cut behind the last channel.
inline void store_16_codes(uint8_t* to, __m128i codes, size_t left) {
  if (left >= kLanes) return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
  alignas(16) uint8_t bytes[kLanes];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), codes);
  __builtin_memcpy(to, bytes, left);
}

template <int P, typename Way, bool kHasResidual>
KOMPAKT_INLINE inline void store_codes_of(const CodesArgs a, const __m256i (&low)[P], const __m256i (&high)[P],
                                          size_t block, size_t pixel) {
  const size_t channel = block * kLanes, left = a.channels - channel;
  const Way first(a, channel), second(a, channel + 8);
  const size_t* targets = a.targets + pixel;
  uint8_t* to = a.codes + channel;
  KOMPAKT_UNROLL
  for (int p = 0; p < P; p += 2) {
    const int next = p + 1 < P ? p + 1 : p;
    const size_t at = (pixel + p) * a.residual_pitch + channel, next_at = (pixel + next) * a.residual_pitch + channel;
    const __m256i v[4] = {first.template rounded<kHasResidual>(a, low[p], at),
                          second.template rounded<kHasResidual>(a, high[p], at + 8),
                          first.template rounded<kHasResidual>(a, low[next], next_at),
                          second.template rounded<kHasResidual>(a, high[next], next_at + 8)};
    const __m256i codes = pack_codes(a, v);
    store_16_codes(to + targets[p], _mm256_castsi256_si128(codes), left);
    if (p + 1 < P) store_16_codes(to + targets[p + 1], _mm256_extracti128_si256(codes, 1), left);
  }
}

// Codes of P neighbouring pixels of one block. The arguments are copied, so that no store of codes can change them.
template <int P>
KOMPAKT_INLINE inline void store_codes(const CodesArgs& a, const __m256i (&low)[P], const __m256i (&high)[P],
                                       size_t block, size_t pixel) {
  if (a.left != nullptr) {
    if (a.residual == nullptr) return store_codes_of<P, ByShift, false>(a, low, high, block, pixel);
    return store_codes_of<P, ByShift, true>(a, low, high, block, pixel);
  }
  if (a.residual == nullptr) return store_codes_of<P, ByScale, false>(a, low, high, block, pixel);
  store_codes_of<P, ByScale, true>(a, low, high, block, pixel);
}
