// Products of Winograd's F(2x2, 3x3) with vpmaddubsw: 16-bit sums in registers for `flush` steps, 32-bit sums of one
// column of points in memory.
#pragma once

template <int P>
void winograd_point(const WinogradArgs& a, const uint8_t* x, const int8_t* w, const int32_t* bias, int32_t* sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  const size_t tile_pitch = 16 * a.depth;
  __m256i wide[P][2];
  for (size_t first = 0; first < a.steps; first += a.flush) {
    const size_t end = a.steps - first < a.flush ? a.steps : first + a.flush;
    __m256i low[P], high[P];
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) low[p] = high[p] = _mm256_setzero_si256();
    for (size_t k = first; k < end; ++k) {
      const __m256i w_low = load_256(w + k * 4 * kLanes * 4);
      const __m256i w_high = load_256(w + k * 4 * kLanes * 4 + 32);
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) {
        const __m256i operand = broadcast_group(x + p * tile_pitch + k * 4);
        add_narrow(low[p], _mm256_maddubs_epi16(operand, w_low));
        add_narrow(high[p], _mm256_maddubs_epi16(operand, w_high));
      }
    }
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      const bool is_first = first == 0;
      wide[p][0] = _mm256_add_epi32(is_first ? load_256(bias) : load_256(sums + p * 4 * kLanes),
                                    _mm256_madd_epi16(low[p], ones));
      wide[p][1] = _mm256_add_epi32(is_first ? load_256(bias + 8) : load_256(sums + p * 4 * kLanes + 8),
                                    _mm256_madd_epi16(high[p], ones));
      store_256(sums + p * 4 * kLanes, wide[p][0]);
      store_256(sums + p * 4 * kLanes + 8, wide[p][1]);
    }
  }
}

// Adds the sums of column j, (4 rows, 16), to the tile's four outputs, (2x2, 16).
inline void add_column(int j, const int32_t* m, int32_t* y) {
  for (size_t c = 0; c < kLanes; c += 8) {
    __m256i v[4];
    for (size_t r = 0; r < 4; ++r) v[r] = load_256(m + r * kLanes + c);
    const __m256i column[2] = {_mm256_add_epi32(_mm256_add_epi32(v[0], v[1]), v[2]),
                               _mm256_sub_epi32(_mm256_sub_epi32(v[1], v[2]), v[3])};
    for (size_t row = 0; row < 2; ++row) {
      int32_t* left = y + row * 2 * kLanes + c;
      int32_t* right = left + kLanes;
      if (j == 0) store_256(left, column[row]);
      if (j == 1 || j == 2) store_256(left, _mm256_add_epi32(load_256(left), column[row]));
      if (j == 1) store_256(right, column[row]);
      if (j >= 2) store_256(right, _mm256_sub_epi32(load_256(right), column[row]));
    }
  }
}

template <int P>
void winograd_tile(const WinogradArgs& a, size_t block, size_t tile) {
  int32_t sums[P * 4 * kLanes], y[P * 4 * kLanes];
  for (int j = 0; j < 4; ++j) {
    const int8_t* w = a.weights + (block * 4 + j) * a.steps * 4 * kLanes * 4;
    const int32_t* bias = a.bias + (block * 4 + j) * 4 * kLanes;
    const uint8_t* x = a.in + (tile * 4 + j) * 4 * a.depth;
    for (int r = 0; r < 4; ++r)
      winograd_point<P>(a, x + r * a.depth, w + r * kLanes * 4, bias + r * kLanes, sums + r * kLanes);
    for (int p = 0; p < P; ++p) add_column(j, sums + p * 4 * kLanes, y + p * 4 * kLanes);
  }
  for (int i = 0; i < P * 4; ++i)
    for (size_t c = 0; c < kLanes; c += 8)
      store_256(a.out[tile * 4 + i] + block * kLanes + c, _mm256_srai_epi32(load_256(y + i * kLanes + c), 2));
}

void winograd(const WinogradArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b) {
    size_t t = 0;
    for (; t + 4 <= a.tile_count; t += 4) winograd_tile<4>(a, b, t);
    for (; t + 2 <= a.tile_count; t += 2) winograd_tile<2>(a, b, t);
    for (; t < a.tile_count; ++t) winograd_tile<1>(a, b, t);
  }
}
