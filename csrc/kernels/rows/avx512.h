// Table look-ups and bit packing, which loops do not express well.
#pragma once

inline __m512 look_up_16(const uint8_t* code, __m512 table) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(code));
  return _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(codes), table);
}

void add_codes(float* x, size_t n, const uint8_t* code, const float* values, int bits) {
  size_t i = 0;
  if (bits <= 4) {
    const __m512 table = _mm512_loadu_ps(values);
    for (; i + 16 <= n; i += 16)
      _mm512_storeu_ps(x + i, _mm512_add_ps(_mm512_loadu_ps(x + i), look_up_16(code + i, table)));
  }
  add_codes_table(x + i, n - i, code + i, values, bits);
}

void decode(const uint8_t* code, size_t n, const float* values, int bits, float* x) {
  size_t i = 0;
  if (bits <= 4) {
    const __m512 table = _mm512_loadu_ps(values);
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(x + i, look_up_16(code + i, table));
  }
  decode_table(code + i, n - i, values, bits, x + i);
}

void map(const uint8_t* code, size_t n, const uint8_t* map, int bits, uint8_t* out) {
  size_t i = 0;
  if (bits <= 4) {
    const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(map)));
    for (; i + 64 <= n; i += 64)
      _mm512_storeu_si512(out + i, _mm512_shuffle_epi8(table, _mm512_loadu_si512(code + i)));
  }
  map_table(code + i, n - i, map, bits, out + i);
}

void pack(const uint8_t* code, size_t n, int plane, uint8_t* out) {
  const __m512i bit = _mm512_set1_epi8(static_cast<char>(1 << plane));
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const uint64_t bits = _mm512_test_epi8_mask(_mm512_loadu_si512(code + i), bit);
    __builtin_memcpy(out + i / 8, &bits, sizeof bits);
  }
  pack_tail(code + i, n - i, plane, out + i / 8);
}

// 16 channels at a time; a compare mask adds one to the index of its lanes.
template <size_t N>
void threshold_16(const int32_t* x, size_t pixels, size_t pitch, size_t lanes, const ThresholdArgs& args,
                  uint8_t* index) {
  const __m512i one = _mm512_set1_epi32(1);
  for (size_t c = 0; c < lanes; c += 16) {
    const __m512i flip = _mm512_loadu_si512(args.flip + c);
    __m512i t[N];
    for (size_t k = 0; k < N; ++k) t[k] = _mm512_loadu_si512(args.thresholds + k * args.pitch + c);
    for (size_t p = 0; p < pixels; ++p) {
      const __m512i v = _mm512_xor_si512(_mm512_loadu_si512(x + p * pitch + c), flip);
      __m512i count = _mm512_setzero_si512();
      for (size_t k = 0; k < N; ++k)
        count = _mm512_mask_add_epi32(count, _mm512_cmpge_epi32_mask(v, t[k]), count, one);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(index + p * pitch + c), _mm512_cvtepi32_epi8(count));
    }
  }
}

void threshold_vector(const int32_t* x, size_t pixels, size_t pitch, size_t lanes, const ThresholdArgs& args,
                      uint8_t* index) {
  switch (args.count) {
    case 1: return threshold_16<1>(x, pixels, pitch, lanes, args, index);
    case 3: return threshold_16<3>(x, pixels, pitch, lanes, args, index);
    case 7: return threshold_16<7>(x, pixels, pitch, lanes, args, index);
    default: return threshold_16<15>(x, pixels, pitch, lanes, args, index);
  }
}
