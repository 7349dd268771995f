// Sums to codes by shifts, 16 channels at a time; four pixels share the packing of their codes.
#pragma once

template <Addend A>
inline __m512i addend_16(const RequantizeArgs& a, size_t at) {
  if (A == Addend::Sum) return _mm512_loadu_si512(a.map + at * sizeof(int32_t));
  const __m512i code = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a.map + at)));
  const __m512i sign = _mm512_set1_epi32(a.sign);
  return _mm512_sub_epi32(_mm512_xor_si512(code, sign), sign);
}

struct Shifts {
  __m512i left, map_left, offset, right;
};

// Levels of 16 sums as 32-bit numbers.
template <Addend A>
inline __m512i requantize_16(const RequantizeArgs& a, size_t c, size_t p, const Shifts& by) {
  const __m512i x = _mm512_loadu_si512(a.x + p * a.pitch + c);
  __m512i v = _mm512_add_epi32(_mm512_sllv_epi32(x, by.left), by.offset);
  if (A != Addend::None)
    v = _mm512_add_epi32(v, _mm512_sllv_epi32(addend_16<A>(a, p * a.map_pitch + c), by.map_left));
  v = _mm512_srav_epi32(v, by.right);
  return _mm512_min_epi32(_mm512_max_epi32(v, _mm512_set1_epi32(a.lo)), _mm512_set1_epi32(a.hi));
}

template <Addend A>
void requantize_by_vectors(const RequantizeArgs a) {
  const __m512i mask = _mm512_set1_epi16(a.mask);
  for (size_t c = 0; c < a.lanes; c += 16) {
    const __m512i map_left = A == Addend::None ? _mm512_setzero_si512() : _mm512_loadu_si512(a.map_left + c);
    const Shifts by{_mm512_loadu_si512(a.left + c), map_left, _mm512_loadu_si512(a.offset + c),
                    _mm512_loadu_si512(a.right + c)};
    uint8_t* code = a.code + c;
    size_t p = 0;
    for (; p + 4 <= a.pixels; p += 4, code += 4 * a.pitch) {
      const __m512i v[4] = {requantize_16<A>(a, c, p, by), requantize_16<A>(a, c, p + 1, by),
                            requantize_16<A>(a, c, p + 2, by), requantize_16<A>(a, c, p + 3, by)};
      const __m512i codes = pack_masked(v, mask);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code), _mm512_castsi512_si128(codes));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code + a.pitch), _mm512_extracti32x4_epi32(codes, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code + 2 * a.pitch), _mm512_extracti32x4_epi32(codes, 2));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code + 3 * a.pitch), _mm512_extracti32x4_epi32(codes, 3));
    }
    for (; p < a.pixels; ++p, code += a.pitch) {
      const __m512i v = _mm512_and_si512(requantize_16<A>(a, c, p, by), _mm512_set1_epi32(a.mask));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code), _mm512_cvtepi32_epi8(v));
    }
  }
}

void requantize_vector(const RequantizeArgs& a) {
  switch (a.addend) {
    case Addend::None: return requantize_by_vectors<Addend::None>(a);
    case Addend::Code: return requantize_by_vectors<Addend::Code>(a);
    case Addend::Sum: return requantize_by_vectors<Addend::Sum>(a);
  }
}
