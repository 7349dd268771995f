// Dot products in plain loops. Sums wrap modulo 2^32 as the vector instructions do.
#pragma once

template <typename Args, typename Operand, typename Weight>
void dot_block(const Args& a, size_t block, const Operand* window, int32_t* out) {
  constexpr size_t group = 4 / sizeof(Operand);
  const Weight* w = a.weights + block * a.tap_count * kLanes * group;
  uint32_t sum[kLanes];
  for (size_t c = 0; c < kLanes; ++c) sum[c] = static_cast<uint32_t>(a.bias[block * kLanes + c]);
  for (size_t k = 0; k < a.tap_count; ++k, w += kLanes * group) {
    const Operand* x = window + a.taps[k];
    for (size_t j = 0; j < group; ++j) {
      const int32_t level = x[j];
      for (size_t c = 0; c < kLanes; ++c) sum[c] += static_cast<uint32_t>(level * w[c * group + j]);
    }
  }
  for (size_t c = 0; c < kLanes; ++c) out[c] = static_cast<int32_t>(sum[c]);
}

template <typename Operand, typename Weight>
void dot(const DotArgs<Operand, Weight>& a) {
  for (size_t p = 0; p < a.pixel_count; ++p)
    for (size_t b = 0; b < a.block_count; ++b)
      dot_block<DotArgs<Operand, Weight>, Operand, Weight>(a, b, a.in + a.pixels[p], a.out + p * a.pitch + b * kLanes);
}
