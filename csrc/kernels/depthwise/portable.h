// Depthwise convolution in plain loops; sums wrap modulo 2^32.
#pragma once

void depthwise_block(const DepthwiseArgs& a, size_t block) {
  const int8_t* weights = a.weights + block * a.steps * kLanes * 4;
  for (size_t p = 0; p < a.pixel_count; ++p) {
    const uint8_t* x = a.in + a.pixels[p] + block * kLanes;
    int32_t* out = a.out + p * a.pitch + block * kLanes;
    uint32_t sum[kLanes];
    for (size_t c = 0; c < kLanes; ++c) sum[c] = static_cast<uint32_t>(a.bias[block * kLanes + c]);
    for (size_t s = 0; s < a.steps; ++s)
      for (size_t j = 0; j < 4; ++j)
        for (size_t c = 0; c < kLanes; ++c)
          sum[c] += static_cast<uint32_t>(x[a.taps[s * 4 + j] + c] * weights[(s * kLanes + c) * 4 + j]);
    for (size_t c = 0; c < kLanes; ++c) out[c] = static_cast<int32_t>(sum[c]);
  }
}

void depthwise(const DepthwiseArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b) depthwise_block(a, b);
}
