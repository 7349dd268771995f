// Depthwise convolution in plain loops; sums wrap modulo 2^32.
#pragma once

void depthwise(const DepthwiseArgs& a) {
  for (size_t p = 0; p < a.pixel_count; ++p) {
    const uint8_t* x = a.in + a.pixels[p];
    int32_t* out = a.out + p * a.pitch;
    uint32_t sum[kLanes];
    for (size_t c = 0; c < kLanes; ++c) sum[c] = static_cast<uint32_t>(a.bias[c]);
    for (size_t s = 0; s < a.steps; ++s)
      for (size_t j = 0; j < 4; ++j)
        for (size_t c = 0; c < kLanes; ++c)
          sum[c] += static_cast<uint32_t>(x[a.taps[s * 4 + j] + c] * a.weights[(s * kLanes + c) * 4 + j]);
    for (size_t c = 0; c < kLanes; ++c) out[c] = static_cast<int32_t>(sum[c]);
  }
}
