// Dot products with vpdpbusd (u8 x s8, 64 products per instruction) and vpdpwssd (s16 x s16, 32 products). Neither
// saturates, so sums are exact modulo 2^32 for every operand.
//
// Tile: P pixels x B blocks of accumulators in registers. A window's group of 4 operand bytes is broadcast to all
// lanes; the weights hold the matching 4 bytes for each of the 16 channels.
#pragma once

inline int32_t load_group(const void* at) {
  int32_t group;
  __builtin_memcpy(&group, at, sizeof group);
  return group;
}

// Written as assembly because g++ 12 copies accumulators that live in arrays around the intrinsic.
inline void accumulate(__m512i& sum, __m512i x, const int8_t*, __m512i w) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}
inline void accumulate(__m512i& sum, __m512i x, const int16_t*, __m512i w) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}

template <int P, int B, typename Operand, typename Weight>
void dot_tile(const DotArgs<Operand, Weight>& a, size_t block, size_t pixel) {
  constexpr size_t group = 4 / sizeof(Operand);
  const size_t block_size = a.tap_count * kLanes * group;
  const Weight* w = a.weights + block * block_size;
  const Operand* window[P];
  __m512i sum[P][B];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    window[p] = a.in + a.pixels[pixel + p];
    KOMPAKT_UNROLL
    for (int b = 0; b < B; ++b) sum[p][b] = _mm512_loadu_si512(a.bias + (block + b) * kLanes);
  }
  for (size_t k = 0; k < a.tap_count; ++k, w += kLanes * group) {
    const size_t tap = a.taps[k];
    __m512i weight[B];
    KOMPAKT_UNROLL
    for (int b = 0; b < B; ++b) weight[b] = _mm512_loadu_si512(w + b * block_size);
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      const __m512i x = _mm512_set1_epi32(load_group(window[p] + tap));
      KOMPAKT_UNROLL
      for (int b = 0; b < B; ++b) accumulate(sum[p][b], x, w, weight[b]);
    }
  }
  if (a.codes != nullptr) return store_codes<P, B>(*a.codes, sum, block, pixel);
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int b = 0; b < B; ++b)
      _mm512_storeu_si512(a.out + (pixel + p) * a.pitch + (block + b) * kLanes, sum[p][b]);
}

template <int B, typename Operand, typename Weight>
void dot_column(const DotArgs<Operand, Weight>& a, size_t block) {
  constexpr size_t tile = B == 4 ? 6 : 8;
  size_t p = 0;
  for (; p + tile <= a.pixel_count; p += tile) dot_tile<tile, B>(a, block, p);
  for (; p + 4 <= a.pixel_count; p += 4) dot_tile<4, B>(a, block, p);
  for (; p + 2 <= a.pixel_count; p += 2) dot_tile<2, B>(a, block, p);
  for (; p < a.pixel_count; ++p) dot_tile<1, B>(a, block, p);
}

template <typename Operand, typename Weight>
void dot(const DotArgs<Operand, Weight>& a) {
  size_t b = 0;
  for (; b + 4 <= a.block_count; b += 4) dot_column<4>(a, b);
  for (; b + 2 <= a.block_count; b += 2) dot_column<2>(a, b);
  for (; b < a.block_count; ++b) dot_column<1>(a, b);
}
