// Products of Winograd's F(4x4, 3x3) with vpmaddwd: one point of P tiles x one block in registers.
#pragma once

template <int P>
inline void winograd4_tiles(size_t depth, const int16_t* x, const int16_t* w, size_t steps, int32_t* sums) {
  const size_t tile_pitch = kWinograd4Points * depth;
  __m256i low[P], high[P];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    low[p] = load_256(sums + static_cast<size_t>(p) * kWinograd4Points * kLanes);
    high[p] = load_256(sums + static_cast<size_t>(p) * kWinograd4Points * kLanes + 8);
  }
  for (size_t k = 0; k < steps; ++k, x += 2, w += 2 * kLanes) {
    const __m256i w_low = load_256(w), w_high = load_256(w + kLanes);
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      const __m256i operand = broadcast_group(x + static_cast<size_t>(p) * tile_pitch);
      add_wide(low[p], _mm256_madd_epi16(operand, w_low));
      add_wide(high[p], _mm256_madd_epi16(operand, w_high));
    }
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    store_256(sums + static_cast<size_t>(p) * kWinograd4Points * kLanes, low[p]);
    store_256(sums + static_cast<size_t>(p) * kWinograd4Points * kLanes + 8, high[p]);
  }
}

void winograd4_products(size_t tiles, size_t depth, const int16_t* x, const int16_t* w, size_t steps, int32_t* sums) {
  switch (tiles) {
    case 6: return winograd4_tiles<6>(depth, x, w, steps, sums);
    case 5: return winograd4_tiles<5>(depth, x, w, steps, sums);
    case 4: return winograd4_tiles<4>(depth, x, w, steps, sums);
    case 3: return winograd4_tiles<3>(depth, x, w, steps, sums);
    case 2: return winograd4_tiles<2>(depth, x, w, steps, sums);
    default: return winograd4_tiles<1>(depth, x, w, steps, sums);
  }
}
