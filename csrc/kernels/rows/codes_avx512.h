// Sums in registers to codes. Out of 64 sums in four vectors come 64 bytes.
#pragma once

// Packing keeps 128-bit lanes apart: dword 4 * l + j of the result holds numbers 4 * l .. 4 * l + 3 of vector j.
inline __m512i in_order(__m512i packed) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, packed);
}

// Rounded values, not yet clamped: packing saturates at the bounds of a byte, codes of fewer bits are cut behind it.
inline __m512i pack_codes(const CodesArgs& a, const __m512i (&v)[4]) {
  const __m512i low = _mm512_packs_epi32(v[0], v[1]), high = _mm512_packs_epi32(v[2], v[3]);
  if (!a.is_signed) {
    const __m512i codes = _mm512_max_epu8(_mm512_packus_epi16(low, high), _mm512_set1_epi8(static_cast<char>(a.lo)));
    return in_order(_mm512_min_epu8(codes, _mm512_set1_epi8(static_cast<char>(a.hi))));
  }
  const __m512i codes = _mm512_max_epi8(_mm512_packs_epi16(low, high), _mm512_set1_epi8(static_cast<char>(a.lo)));
  const __m512i clamped = _mm512_min_epi8(codes, _mm512_set1_epi8(static_cast<char>(a.hi)));
  return in_order(_mm512_and_si512(clamped, _mm512_set1_epi8(static_cast<char>(a.mask))));
}

// Levels of 16 codes to add, the first at index `at`.
inline __m512i residual_levels(const CodesArgs& a, size_t at) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a.residual + at));
  const __m512i sign = _mm512_set1_epi32(a.sign);
  return _mm512_sub_epi32(_mm512_xor_si512(_mm512_cvtepu8_epi32(codes), sign), sign);
}

// Parameters of 16 channels, by floats or by shifts, and what they make of 16 sums.
struct ByScale {
  __m512 m, b;

  void load(const CodesArgs& a, size_t channel) {
    m = _mm512_loadu_ps(a.m + channel);
    b = _mm512_loadu_ps(a.b + channel);
  }
  template <bool kHasResidual>
  __m512i rounded(const CodesArgs& a, __m512i sums, size_t at) const {
    __m512 v = _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sums), m), b);
    if (kHasResidual)
      v = _mm512_add_ps(v, _mm512_mul_ps(_mm512_cvtepi32_ps(residual_levels(a, at)), _mm512_set1_ps(a.scale)));
    return _mm512_cvtps_epi32(_mm512_mul_ps(v, _mm512_set1_ps(a.inv_step)));
  }
};

struct ByShift {
  __m512i left, offset, right, residual_left;

  void load(const CodesArgs& a, size_t channel) {
    left = _mm512_loadu_si512(a.left + channel);
    offset = _mm512_loadu_si512(a.offset + channel);
    right = _mm512_loadu_si512(a.right + channel);
    residual_left = a.residual == nullptr ? left : _mm512_loadu_si512(a.residual_left + channel);
  }
  template <bool kHasResidual>
  __m512i rounded(const CodesArgs& a, __m512i sums, size_t at) const {
    __m512i v = _mm512_add_epi32(_mm512_sllv_epi32(sums, left), offset);
    if (kHasResidual) v = _mm512_add_epi32(v, _mm512_sllv_epi32(residual_levels(a, at), residual_left));
    return _mm512_srav_epi32(v, right);
  }
};

// Run `index` of B * 16 bytes of `codes`, cut behind the last channel, `left` bytes on.
template <int B>
inline void store_run(uint8_t* to, __m512i codes, int index, size_t left) {
  if (left < B * kLanes) {
    alignas(64) uint8_t bytes[64];
    _mm512_store_si512(bytes, codes);
    __builtin_memcpy(to, bytes + index * B * kLanes, left);
    return;
  }
  if constexpr (B == 4) _mm512_storeu_si512(to, codes);
  if constexpr (B == 2)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        index == 0 ? _mm512_castsi512_si256(codes) : _mm512_extracti64x4_epi64(codes, 1));
  if constexpr (B == 1) {
    const __m128i part = index == 0   ? _mm512_castsi512_si128(codes)
                         : index == 1 ? _mm512_extracti32x4_epi32(codes, 1)
                         : index == 2 ? _mm512_extracti32x4_epi32(codes, 2)
                                      : _mm512_extracti32x4_epi32(codes, 3);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), part);
  }
}

template <int P, int B, typename Way, bool kHasResidual>
KOMPAKT_INLINE inline void store_codes_of(const CodesArgs a, const __m512i (&sum)[P][B], size_t block, size_t pixel) {
  constexpr int kRuns = 4 / B;  // pixels whose codes fill a vector
  const size_t channel = block * kLanes, left = a.channels - channel;
  Way way[B];
  KOMPAKT_UNROLL
  for (int i = 0; i < B; ++i) way[i].load(a, channel + i * kLanes);
  const size_t* targets = a.targets + pixel;
  uint8_t* to = a.codes + channel;
  const size_t residual = pixel * a.residual_pitch + channel;
  KOMPAKT_UNROLL
  for (int p = 0; p < P; p += kRuns) {
    __m512i v[4] = {};
    KOMPAKT_UNROLL
    for (int i = 0; i < 4; ++i)
      if (p + i / B < P)
        v[i] = way[i % B].template rounded<kHasResidual>(
            a, sum[p + i / B][i % B], residual + (p + i / B) * a.residual_pitch + (i % B) * kLanes);
    const __m512i codes = pack_codes(a, v);
    KOMPAKT_UNROLL
    for (int i = 0; i < kRuns; ++i)
      if (p + i < P) store_run<B>(to + targets[p + i], codes, i, left);
  }
}

// Codes of P neighbouring pixels x B neighbouring blocks; B is 1, 2 or 4. The arguments are copied, so that no store of
// codes can change them.
template <int P, int B>
KOMPAKT_INLINE inline void store_codes(const CodesArgs& a, const __m512i (&sum)[P][B], size_t block, size_t pixel) {
  if (a.left != nullptr) {
    if (a.residual == nullptr) return store_codes_of<P, B, ByShift, false>(a, sum, block, pixel);
    return store_codes_of<P, B, ByShift, true>(a, sum, block, pixel);
  }
  if (a.residual == nullptr) return store_codes_of<P, B, ByScale, false>(a, sum, block, pixel);
  store_codes_of<P, B, ByScale, true>(a, sum, block, pixel);
}
