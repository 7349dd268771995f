// Depthwise convolution with vpmaddwd: pairs of taps of 16 channels, widened to 16 bits; 2 * 255 * 127 fits 32 bits.
#pragma once

inline __m256i load_16_wide(const uint8_t* at) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// Weights of four taps as pairs of 16 bits, in the order of channels that unpacking gives: (2 pairs, 16, 2).
inline void expand_taps(const int8_t* w, int16_t* pairs) {
  for (size_t i = 0; i < kLanes; ++i) {
    const size_t channel = i / 4 == 1 ? i + 4 : i / 4 == 2 ? i - 4 : i;  // 0-3, 8-11, 4-7, 12-15
    for (size_t j = 0; j < 4; ++j) pairs[(j / 2 * kLanes + i) * 2 + j % 2] = w[channel * 4 + j];
  }
}

void depthwise_step(const DepthwiseArgs& a, size_t step) {
  int16_t pairs[4 * kLanes];
  expand_taps(a.weights + step * kLanes * 4, pairs);
  const __m256i weight[4] = {load_256(pairs), load_256(pairs + 16), load_256(pairs + 32), load_256(pairs + 48)};
  const size_t* taps = a.taps + step * 4;
  for (size_t p = 0; p < a.pixel_count; ++p) {
    const uint8_t* x = a.in + a.pixels[p];
    const __m256i r[4] = {load_16_wide(x + taps[0]), load_16_wide(x + taps[1]), load_16_wide(x + taps[2]),
                          load_16_wide(x + taps[3])};
    const __m256i low = _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpacklo_epi16(r[0], r[1]), weight[0]),
                                         _mm256_madd_epi16(_mm256_unpacklo_epi16(r[2], r[3]), weight[2]));
    const __m256i high = _mm256_add_epi32(_mm256_madd_epi16(_mm256_unpackhi_epi16(r[0], r[1]), weight[1]),
                                          _mm256_madd_epi16(_mm256_unpackhi_epi16(r[2], r[3]), weight[3]));
    int32_t* out = a.out + p * a.pitch;
    const int32_t* start = step == 0 ? a.bias : out;
    store_256(out, _mm256_add_epi32(load_256(start), _mm256_permute2x128_si256(low, high, 0x20)));
    store_256(out + 8, _mm256_add_epi32(load_256(start + 8), _mm256_permute2x128_si256(low, high, 0x31)));
  }
}

void depthwise(const DepthwiseArgs& a) {
  for (size_t s = 0; s < a.steps; ++s) depthwise_step(a, s);
}
