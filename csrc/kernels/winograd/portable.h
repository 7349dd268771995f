// Products of Winograd's F(2x2, 3x3) in plain loops; sums wrap modulo 2^32.
#pragma once

void winograd_tile(const WinogradArgs& a, size_t block, size_t tile) {
  uint32_t y[4][kLanes] = {};
  for (size_t j = 0; j < 4; ++j) {
    uint32_t m[4][kLanes];
    for (size_t r = 0; r < 4; ++r)
      for (size_t c = 0; c < kLanes; ++c) m[r][c] = static_cast<uint32_t>(a.bias[((block * 4 + j) * 4 + r) * kLanes + c]);
    const int8_t* w = a.weights + (block * 4 + j) * a.steps * 4 * kLanes * 4;
    const uint8_t* x = a.in + (tile * 4 + j) * 4 * a.depth;
    for (size_t k = 0; k < a.steps; ++k)
      for (size_t r = 0; r < 4; ++r, w += kLanes * 4)
        for (size_t c = 0; c < kLanes; ++c)
          for (size_t e = 0; e < 4; ++e) m[r][c] += static_cast<uint32_t>(x[r * a.depth + k * 4 + e] * w[c * 4 + e]);
    for (size_t c = 0; c < kLanes; ++c) {
      const uint32_t column[2] = {m[0][c] + m[1][c] + m[2][c], m[1][c] - m[2][c] - m[3][c]};
      for (size_t row = 0; row < 2; ++row) {
        if (j < 3) y[row * 2][c] += column[row];
        if (j > 0) y[row * 2 + 1][c] += j == 1 ? column[row] : 0u - column[row];
      }
    }
  }
  for (size_t i = 0; i < 4; ++i)
    for (size_t c = 0; c < kLanes; ++c)
      a.out[tile * 4 + i][block * kLanes + c] = static_cast<int32_t>(y[i][c]) / 4;
}

void winograd(const WinogradArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b)
    for (size_t t = 0; t < a.tile_count; ++t) winograd_tile(a, b, t);
}
