// Bit planes with VPOPCNTDQ: one output channel per 64-bit lane, two vectors per block of 16 channels. An operand
// word is broadcast; counts of one pair of planes stay in registers and are scaled once per pair.
#pragma once

inline __m512i narrow_counts(__m512i low, __m512i high) {
  const __m512i half = _mm512_castsi256_si512(_mm512_cvtepi64_epi32(low));
  return _mm512_inserti64x4(half, _mm512_cvtepi64_epi32(high), 1);
}

inline __m512i start_of_sum(const PlanesArgs& a, size_t block, size_t pixel) {
  const __m512i window_factor = _mm512_loadu_si512(a.window_factor + block * kLanes);
  return _mm512_add_epi32(_mm512_loadu_si512(a.bias + a.bias_rows[pixel] + block * kLanes),
                          _mm512_mullo_epi32(window_factor, _mm512_set1_epi32(a.sums[pixel])));
}

// The part that does not depend on planes comes last: in registers meanwhile it would push the weights out of them.
template <int P>
void planes_tile(const PlanesArgs& a, size_t block, size_t pixel) {
  int32_t* out = a.out + pixel * a.pitch + block * kLanes;
  for (size_t i = 0; i < a.weight_planes; ++i) {
    const size_t plane = block * a.weight_planes + i;
    const __m512i weight_factor = _mm512_loadu_si512(a.weight_factor + plane * kLanes);
    for (size_t j = 0; j < a.operand_planes; ++j) {
      const uint8_t* w = a.weights + plane * a.steps * kLanes * 8;
      const uint8_t* window[P];
      __m512i low[P], high[P];
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) {
        window[p] = a.in + j * a.plane_bytes + a.pixels[pixel + p];
        low[p] = high[p] = _mm512_setzero_si512();
      }
      for (size_t k = 0; k < a.steps; ++k, w += kLanes * 8) {
        const __m512i w_low = _mm512_loadu_si512(w);
        const __m512i w_high = _mm512_loadu_si512(w + 64);
        const size_t tap = a.taps[k];
        KOMPAKT_UNROLL
        for (int p = 0; p < P; ++p) {
          const __m512i word = _mm512_set1_epi64(static_cast<long long>(load_word(window[p] + tap)));
          low[p] = _mm512_add_epi64(low[p], _mm512_popcnt_epi64(_mm512_and_si512(word, w_low)));
          high[p] = _mm512_add_epi64(high[p], _mm512_popcnt_epi64(_mm512_and_si512(word, w_high)));
        }
      }
      const __m512i factor = _mm512_mullo_epi32(weight_factor, _mm512_set1_epi32(a.operand_factor[j]));
      const bool is_first = i == 0 && j == 0;
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) {
        const __m512i sum = is_first ? start_of_sum(a, block, pixel + p) : _mm512_loadu_si512(out + p * a.pitch);
        const __m512i product = _mm512_mullo_epi32(factor, narrow_counts(low[p], high[p]));
        _mm512_storeu_si512(out + p * a.pitch, _mm512_add_epi32(sum, product));
      }
    }
  }
}

void planes_pixels(const PlanesArgs& a, size_t block, size_t pixel, size_t count) {
  switch (count) {
    case 1: return planes_tile<1>(a, block, pixel);
    case 2: return planes_tile<2>(a, block, pixel);
    case 3: return planes_tile<3>(a, block, pixel);
    case 4: return planes_tile<4>(a, block, pixel);
    case 5: return planes_tile<5>(a, block, pixel);
    case 6: return planes_tile<6>(a, block, pixel);
    case 7: return planes_tile<7>(a, block, pixel);
    default: return planes_tile<8>(a, block, pixel);
  }
}

// Pixels in tiles of about the same size: single pixels left behind large tiles would be slow.
void planes(const PlanesArgs& a) {
  constexpr size_t most_pixels = 8;
  const size_t tiles = (a.pixel_count + most_pixels - 1) / most_pixels;
  for (size_t b = 0; b < a.block_count; ++b)
    for (size_t t = 0, p = 0, end; t < tiles; ++t, p = end) {
      end = a.pixel_count * (t + 1) / tiles;
      planes_pixels(a, b, p, end - p);
    }
}
