// Sums to codes by shifts, 8 channels at a time.
#pragma once

template <Addend A>
inline __m256i addend_8(const RequantizeArgs& a, size_t at) {
  if (A == Addend::Sum) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a.map + at * sizeof(int32_t)));
  const __m256i code = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(a.map + at)));
  const __m256i sign = _mm256_set1_epi32(a.sign);
  return _mm256_sub_epi32(_mm256_xor_si256(code, sign), sign);
}

template <Addend A>
void requantize_8(const RequantizeArgs a) {
  const __m256i lo = _mm256_set1_epi32(a.lo), hi = _mm256_set1_epi32(a.hi), mask = _mm256_set1_epi32(a.mask);
  for (size_t c = 0; c < a.lanes; c += 8) {
    const __m256i left = load_8(a.left + c), offset = load_8(a.offset + c), right = load_8(a.right + c);
    const __m256i map_left = A == Addend::None ? _mm256_setzero_si256() : load_8(a.map_left + c);
    for (size_t p = 0; p < a.pixels; ++p) {
      __m256i v = _mm256_add_epi32(_mm256_sllv_epi32(load_8(a.x + p * a.pitch + c), left), offset);
      if (A != Addend::None)
        v = _mm256_add_epi32(v, _mm256_sllv_epi32(addend_8<A>(a, p * a.map_pitch + c), map_left));
      v = _mm256_min_epi32(_mm256_max_epi32(_mm256_srav_epi32(v, right), lo), hi);
      v = _mm256_and_si256(v, mask);
      const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(a.code + p * a.pitch + c), _mm_packus_epi16(words, words));
    }
  }
}

void requantize_vector(const RequantizeArgs& a) {
  switch (a.addend) {
    case Addend::None: return requantize_8<Addend::None>(a);
    case Addend::Code: return requantize_8<Addend::Code>(a);
    case Addend::Sum: return requantize_8<Addend::Sum>(a);
  }
}
