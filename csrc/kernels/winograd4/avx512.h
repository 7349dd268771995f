// Products of Winograd's F(4x4, 3x3) with vpdpwssd: one point of P tiles x one block in registers.
#pragma once

template <int P>
inline void winograd4_tiles(size_t depth, const int16_t* x, const int16_t* w, size_t steps, int32_t* sums) {
  const size_t tile_pitch = kWinograd4Points * depth;
  __m512i sum[P];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) sum[p] = _mm512_loadu_si512(sums + static_cast<size_t>(p) * kWinograd4Points * kLanes);
  for (size_t k = 0; k < steps; ++k, x += 2, w += 2 * kLanes) {
    const __m512i weight = _mm512_loadu_si512(w);
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p)
      accumulate(sum[p], _mm512_set1_epi32(load_group(x + static_cast<size_t>(p) * tile_pitch)), w, weight);
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    _mm512_storeu_si512(sums + static_cast<size_t>(p) * kWinograd4Points * kLanes, sum[p]);
}

void winograd4_products(size_t tiles, size_t depth, const int16_t* x, const int16_t* w, size_t steps, int32_t* sums) {
  switch (tiles) {
    case 8: return winograd4_tiles<8>(depth, x, w, steps, sums);
    case 7: return winograd4_tiles<7>(depth, x, w, steps, sums);
    case 6: return winograd4_tiles<6>(depth, x, w, steps, sums);
    case 5: return winograd4_tiles<5>(depth, x, w, steps, sums);
    case 4: return winograd4_tiles<4>(depth, x, w, steps, sums);
    case 3: return winograd4_tiles<3>(depth, x, w, steps, sums);
    case 2: return winograd4_tiles<2>(depth, x, w, steps, sums);
    default: return winograd4_tiles<1>(depth, x, w, steps, sums);
  }
}
