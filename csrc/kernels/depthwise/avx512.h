// Depthwise convolution with vpdpbusd: four taps of 16 channels become 16 groups of four bytes by one vpermt2b.
#pragma once

inline __m128i load_16_bytes(const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }

// Byte 4 * c + j is tap j of channel c.
inline __m512i interleave_taps(const uint8_t* x, const size_t* taps, __m512i order) {
  const __m256i upper = _mm256_set_m128i(load_16_bytes(x + taps[1]), load_16_bytes(x + taps[0]));
  const __m256i lower = _mm256_set_m128i(load_16_bytes(x + taps[3]), load_16_bytes(x + taps[2]));
  return _mm512_permutex2var_epi8(_mm512_castsi256_si512(upper), order, _mm512_castsi256_si512(lower));
}

inline __m512i tap_order() {
  uint8_t order[64];
  for (size_t i = 0; i < 64; ++i) order[i] = static_cast<uint8_t>(i % 4 / 2 * 64 + i % 2 * 16 + i / 4);
  return _mm512_loadu_si512(order);
}

// S steps from `first`; sums begin with the bias or go on in `out`. Neighbouring pixels share all but one step's bytes
// where windows slide.
template <size_t S>
void depthwise_steps(const DepthwiseArgs& a, size_t first) {
  const __m512i order = tap_order();
  const size_t* taps = a.taps + first * 4;
  __m512i weight[S], x[S];
  for (size_t s = 0; s < S; ++s) weight[s] = _mm512_loadu_si512(a.weights + (first + s) * kLanes * 4);
  for (size_t p = 0; p < a.pixel_count; ++p) {
    const uint8_t* window = a.in + a.pixels[p];
    size_t known = 0;
    if (S > 1 && p > 0 && a.slide != 0 && a.pixels[p] - a.pixels[p - 1] == a.slide) {
      known = S - 1;
      for (size_t s = 0; s + 1 < S; ++s) x[s] = x[s + 1];
    }
    if (known == 0)
      for (size_t s = 0; s + 1 < S; ++s) x[s] = interleave_taps(window, taps + s * 4, order);
    x[S - 1] = interleave_taps(window, taps + (S - 1) * 4, order);
    __m512i sum = _mm512_loadu_si512(first == 0 ? a.bias : a.out + p * a.pitch);
    for (size_t s = 0; s < S; ++s) sum = _mm512_dpbusd_epi32(sum, x[s], weight[s]);
    _mm512_storeu_si512(a.out + p * a.pitch, sum);
  }
}

void depthwise(const DepthwiseArgs& a) {
  size_t s = 0;
  for (; s + 3 <= a.steps; s += 3) depthwise_steps<3>(a, s);
  for (; s < a.steps; ++s) depthwise_steps<1>(a, s);
}
