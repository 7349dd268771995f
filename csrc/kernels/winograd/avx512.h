// Products of Winograd's F(2x2, 3x3) with vpdpbusd. One column of points at a time stays in registers: 4 points x P
// tiles, so that a vector of weights serves P tiles and only sums of whole columns meet.
#pragma once

template <int P>
void winograd_tile(const WinogradArgs& a, size_t block, size_t tile) {
  const int8_t* w = a.weights + block * 4 * a.steps * 4 * kLanes * 4;
  const int32_t* bias = a.bias + block * 16 * kLanes;
  __m512i y[P][4];
  KOMPAKT_UNROLL
  for (int j = 0; j < 4; ++j, bias += 4 * kLanes) {
    const uint8_t* x[P];
    __m512i m[P][4];
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      x[p] = a.in + ((tile + p) * 4 + j) * 4 * a.depth;
      KOMPAKT_UNROLL
      for (int r = 0; r < 4; ++r) m[p][r] = _mm512_loadu_si512(bias + r * kLanes);
    }
    for (size_t k = 0; k < a.steps; ++k, w += 4 * kLanes * 4) {
      __m512i weight[4];
      KOMPAKT_UNROLL
      for (int r = 0; r < 4; ++r) weight[r] = _mm512_loadu_si512(w + r * kLanes * 4);
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) {
        KOMPAKT_UNROLL
        for (int r = 0; r < 4; ++r)
          accumulate(m[p][r], _mm512_set1_epi32(load_group(x[p] + r * a.depth)), w, weight[r]);
        x[p] += 4;
      }
    }
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      const __m512i top = _mm512_add_epi32(_mm512_add_epi32(m[p][0], m[p][1]), m[p][2]);
      const __m512i bottom = _mm512_sub_epi32(_mm512_sub_epi32(m[p][1], m[p][2]), m[p][3]);
      if (j == 0) y[p][0] = top, y[p][2] = bottom;
      if (j == 1 || j == 2) y[p][0] = _mm512_add_epi32(y[p][0], top), y[p][2] = _mm512_add_epi32(y[p][2], bottom);
      if (j == 1) y[p][1] = top, y[p][3] = bottom;
      if (j >= 2) y[p][1] = _mm512_sub_epi32(y[p][1], top), y[p][3] = _mm512_sub_epi32(y[p][3], bottom);
    }
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int i = 0; i < 4; ++i)
      _mm512_storeu_si512(a.out[(tile + p) * 4 + i] + block * kLanes, _mm512_srai_epi32(y[p][i], 2));
}

void winograd(const WinogradArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b) {
    size_t t = 0;
    for (; t + 6 <= a.tile_count; t += 6) winograd_tile<6>(a, b, t);
    for (; t + 4 <= a.tile_count; t += 4) winograd_tile<4>(a, b, t);
    for (; t + 2 <= a.tile_count; t += 2) winograd_tile<2>(a, b, t);
    for (; t < a.tile_count; ++t) winograd_tile<1>(a, b, t);
  }
}
