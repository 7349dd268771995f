// Dot products in plain loops. Sums wrap modulo 2^32 as the vector instructions do.
//
// Products of a group stay apart until the end, so that every loop runs over neighbouring elements and compilers
// vectorise it with 16-bit multiplications.
#pragma once

// Lanes whose sums fit the registers of a baseline CPU together.
constexpr size_t kPortableLanes = 4;

template <typename Operand, typename Weight>
void dot_lanes(const DotArgs<Operand, Weight>& a, const Operand* window, const Weight* w, const int32_t* bias,
               int32_t* out) {
  constexpr size_t group = 4 / sizeof(Operand);
  constexpr size_t width = kPortableLanes * group;
  uint32_t sum[width] = {};
  for (size_t k = 0; k < a.tap_count; ++k, w += kLanes * group) {
    const Operand* x = window + a.taps[k];
    int16_t operands[width];
    for (size_t e = 0; e < width; ++e) operands[e] = x[e % group];
    for (size_t e = 0; e < width; ++e)
      sum[e] += static_cast<uint32_t>(static_cast<int32_t>(operands[e]) * static_cast<int16_t>(w[e]));
  }
  for (size_t c = 0; c < kPortableLanes; ++c) {
    uint32_t total = static_cast<uint32_t>(bias[c]);
    for (size_t j = 0; j < group; ++j) total += sum[c * group + j];
    out[c] = static_cast<int32_t>(total);
  }
}

template <typename Operand, typename Weight>
void dot(const DotArgs<Operand, Weight>& a) {
  constexpr size_t group = 4 / sizeof(Operand);
  for (size_t b = 0; b < a.block_count; ++b) {
    const Weight* w = a.weights + b * a.tap_count * kLanes * group;
    for (size_t p = 0; p < a.pixel_count; ++p)
      for (size_t c = 0; c < kLanes; c += kPortableLanes)
        dot_lanes(a, a.in + a.pixels[p], w + c * group, a.bias + b * kLanes + c, a.out + p * a.pitch + b * kLanes + c);
  }
}
