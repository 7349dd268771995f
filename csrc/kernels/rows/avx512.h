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
  } else {
    const __m512i table[4] = {_mm512_loadu_si512(map), _mm512_loadu_si512(map + 64), _mm512_loadu_si512(map + 128),
                              _mm512_loadu_si512(map + 192)};
    for (; i + 64 <= n; i += 64) {
      const __m512i codes = _mm512_loadu_si512(code + i);
      const __m512i low = _mm512_permutex2var_epi8(table[0], codes, table[1]);
      const __m512i high = _mm512_permutex2var_epi8(table[2], codes, table[3]);
      _mm512_storeu_si512(out + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high));
    }
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
  pack_tail<8>(code + i, n - i, plane, out + i / 8);
}

// Number of ascending thresholds that are not above v: by bisection, because comparisons are the bottleneck.
inline __m512i count_passed(__m512i v, const __m512i (&t)[1]) {
  return _mm512_maskz_set1_epi32(_mm512_cmpge_epi32_mask(v, t[0]), 1);
}

inline __m512i count_passed(__m512i v, const __m512i (&t)[3]) {
  const __mmask16 upper = _mm512_cmpge_epi32_mask(v, t[1]);
  const __m512i low[1] = {_mm512_mask_blend_epi32(upper, t[0], t[2])};
  const __m512i count = count_passed(v, low);
  return _mm512_mask_add_epi32(count, upper, count, _mm512_set1_epi32(2));
}

inline __m512i count_passed(__m512i v, const __m512i (&t)[7]) {
  const __mmask16 upper = _mm512_cmpge_epi32_mask(v, t[3]);
  __m512i low[3];
  KOMPAKT_UNROLL
  for (int k = 0; k < 3; ++k) low[k] = _mm512_mask_blend_epi32(upper, t[k], t[k + 4]);
  const __m512i count = count_passed(v, low);
  return _mm512_mask_add_epi32(count, upper, count, _mm512_set1_epi32(4));
}

inline __m512i count_passed(__m512i v, const __m512i (&t)[15]) {
  const __mmask16 upper = _mm512_cmpge_epi32_mask(v, t[7]);
  __m512i low[7];
  KOMPAKT_UNROLL
  for (int k = 0; k < 7; ++k) low[k] = _mm512_mask_blend_epi32(upper, t[k], t[k + 8]);
  const __m512i count = count_passed(v, low);
  return _mm512_mask_add_epi32(count, upper, count, _mm512_set1_epi32(8));
}

template <size_t N>
void threshold_16(const int32_t* x, size_t pixels, size_t pitch, size_t lanes, const ThresholdArgs& args,
                  uint8_t* index) {
  for (size_t c = 0; c < lanes; c += 16) {
    const __m512i flip = _mm512_loadu_si512(args.flip + c);
    __m512i t[N];
    for (size_t k = 0; k < N; ++k) t[k] = _mm512_loadu_si512(args.thresholds + k * args.pitch + c);
    for (size_t p = 0; p < pixels; ++p) {
      const __m512i v = _mm512_xor_si512(_mm512_loadu_si512(x + p * pitch + c), flip);
      const __m512i count = count_passed(v, t);
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

template <Residual R>
inline __m512 residual_16(const RescaleArgs& a, size_t at, __m512 table) {
  if (R == Residual::Real) return _mm512_loadu_ps(a.map + at * sizeof(float));
  if (R == Residual::Table) return look_up_16(a.map + at, table);
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a.map + at));
  const __m512i sign = _mm512_set1_epi32(a.sign);
  const __m512i level = _mm512_sub_epi32(_mm512_xor_si512(_mm512_cvtepu8_epi32(codes), sign), sign);
  return _mm512_mul_ps(_mm512_cvtepi32_ps(level), _mm512_set1_ps(a.scale));
}

// Codes of 16 sums as 32-bit numbers. max(v, lo) and min(v, hi) give the bound where v is NaN, as the definition does;
// v is in [-128, 255] when rounded.
template <Residual R>
inline __m512i rescale_16(const RescaleArgs& a, size_t c, size_t p, __m512 m, __m512 b, __m512 table) {
  const __m512 x = _mm512_cvtepi32_ps(_mm512_loadu_si512(a.x + p * a.pitch + c));
  __m512 v = _mm512_add_ps(_mm512_mul_ps(x, m), b);
  if (R != Residual::None) v = _mm512_add_ps(v, residual_16<R>(a, p * a.map_pitch + c, table));
  v = _mm512_mul_ps(v, _mm512_set1_ps(a.inv_step));
  v = _mm512_min_ps(_mm512_max_ps(v, _mm512_set1_ps(a.lo)), _mm512_set1_ps(a.hi));
  return _mm512_cvtps_epi32(v);
}

inline __m512i pack_masked(const __m512i (&v)[4], __m512i mask) {
  const __m512i low = _mm512_and_si512(_mm512_packs_epi32(v[0], v[1]), mask);
  const __m512i high = _mm512_and_si512(_mm512_packs_epi32(v[2], v[3]), mask);
  return in_order(_mm512_packus_epi16(low, high));
}

template <Residual R>
void rescale_by_vectors(const RescaleArgs a) {
  const __m512 table = R == Residual::Table ? _mm512_loadu_ps(a.values) : _mm512_setzero_ps();
  const __m512i mask = _mm512_set1_epi16(a.mask);
  for (size_t c = 0; c < a.lanes; c += 16) {
    const __m512 m = _mm512_loadu_ps(a.m + c), b = _mm512_loadu_ps(a.b + c);
    uint8_t* code = a.code + c;
    size_t p = 0;
    for (; p + 4 <= a.pixels; p += 4, code += 4 * a.pitch) {
      const __m512i v[4] = {rescale_16<R>(a, c, p, m, b, table), rescale_16<R>(a, c, p + 1, m, b, table),
                            rescale_16<R>(a, c, p + 2, m, b, table), rescale_16<R>(a, c, p + 3, m, b, table)};
      const __m512i codes = pack_masked(v, mask);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code), _mm512_castsi512_si128(codes));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code + a.pitch), _mm512_extracti32x4_epi32(codes, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code + 2 * a.pitch), _mm512_extracti32x4_epi32(codes, 2));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code + 3 * a.pitch), _mm512_extracti32x4_epi32(codes, 3));
    }
    for (; p < a.pixels; ++p, code += a.pitch) {
      const __m512i v = _mm512_and_si512(rescale_16<R>(a, c, p, m, b, table), _mm512_set1_epi32(a.mask));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(code), _mm512_cvtepi32_epi8(v));
    }
  }
}

void rescale_vector(const RescaleArgs& a) {
  switch (a.residual) {
    case Residual::None: return rescale_by_vectors<Residual::None>(a);
    case Residual::Real: return rescale_by_vectors<Residual::Real>(a);
    case Residual::Affine: return rescale_by_vectors<Residual::Affine>(a);
    case Residual::Table: return rescale_by_vectors<Residual::Table>(a);
  }
}
