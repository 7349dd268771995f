// Bit planes in plain loops: AND, count, scale.
#pragma once

void planes_block(const PlanesArgs& a, size_t block, size_t pixel) {
  const size_t first = block * kLanes;
  const int32_t* bias = a.bias + a.bias_rows[pixel] + first;
  uint32_t sum[kLanes];
  for (size_t c = 0; c < kLanes; ++c)
    sum[c] = static_cast<uint32_t>(bias[c]) +
             static_cast<uint32_t>(a.window_factor[first + c]) * static_cast<uint32_t>(a.sums[pixel]);
  for (size_t i = 0; i < a.weight_planes; ++i) {
    const size_t plane = block * a.weight_planes + i;
    for (size_t j = 0; j < a.operand_planes; ++j) {
      const uint8_t* window = a.in + j * a.plane_bytes + a.pixels[pixel];
      const uint8_t* w = a.weights + plane * a.steps * kLanes * 8;
      uint64_t count[kLanes] = {};
      for (size_t k = 0; k < a.steps; ++k, w += kLanes * 8)
        for (size_t c = 0; c < kLanes; ++c)
          count[c] += count_ones(load_word(window + a.taps[k]) & load_word(w + c * 8));
      for (size_t c = 0; c < kLanes; ++c)
        sum[c] += static_cast<uint32_t>(a.weight_factor[plane * kLanes + c]) *
                  static_cast<uint32_t>(a.operand_factor[j]) * static_cast<uint32_t>(count[c]);
    }
  }
  int32_t* out = a.out + pixel * a.pitch + first;
  for (size_t c = 0; c < kLanes; ++c) out[c] = static_cast<int32_t>(sum[c]);
}

void planes(const PlanesArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b)
    for (size_t p = 0; p < a.pixel_count; ++p) planes_block(a, b, p);
}
