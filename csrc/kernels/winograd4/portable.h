// Products of Winograd's F(4x4, 3x3) in plain loops; sums wrap modulo 2^32.
#pragma once

void winograd4_products(size_t tiles, size_t depth, const int16_t* x, const int16_t* w, size_t steps, int32_t* sums) {
  for (size_t tile = 0; tile < tiles; ++tile, x += kWinograd4Points * depth, sums += kWinograd4Points * kLanes) {
    uint32_t sum[2 * kLanes] = {};
    for (size_t k = 0; k < steps; ++k)
      for (size_t e = 0; e < 2 * kLanes; ++e)
        sum[e] += static_cast<uint32_t>(x[2 * k + e % 2] * w[k * 2 * kLanes + e]);
    for (size_t c = 0; c < kLanes; ++c)
      sums[c] = static_cast<int32_t>(static_cast<uint32_t>(sums[c]) + sum[2 * c] + sum[2 * c + 1]);
  }
}
