// Bit planes with cnt: two 64-bit lanes per vector, eight vectors per block. Byte counters hold at most 8 per word, so
// 31 words fit before they are widened (31 * 8 = 248).
#pragma once

constexpr size_t kByteCounterWords = 31;
constexpr int kPairs = kLanes / 2;

// Counts of one pair of planes for P pixels x 16 channels, four channels per vector.
template <int P>
void count_pair(const PlanesArgs& a, const uint8_t* w, const uint8_t* const (&window)[P], uint32x4_t (&count)[P][4]) {
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int v = 0; v < 4; ++v) count[p][v] = vdupq_n_u32(0);
  for (size_t first = 0; first < a.steps; first += kByteCounterWords) {
    const size_t end = a.steps - first < kByteCounterWords ? a.steps : first + kByteCounterWords;
    uint8x16_t bytes[P][kPairs];
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p)
      KOMPAKT_UNROLL
      for (int i = 0; i < kPairs; ++i) bytes[p][i] = vdupq_n_u8(0);
    for (size_t k = first; k < end; ++k) {
      uint8x16_t word[P];
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) word[p] = vreinterpretq_u8_u64(vdupq_n_u64(load_word(window[p] + a.taps[k])));
      KOMPAKT_UNROLL
      for (int i = 0; i < kPairs; ++i) {
        const uint8x16_t weights = vld1q_u8(w + k * kLanes * 8 + 16 * i);
        KOMPAKT_UNROLL
        for (int p = 0; p < P; ++p) bytes[p][i] = vaddq_u8(bytes[p][i], vcntq_u8(vandq_u8(weights, word[p])));
      }
    }
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p)
      KOMPAKT_UNROLL
      for (int v = 0; v < 4; ++v) {
        // A lane's 8 counters become two of 32 bits, which the pairwise addition brings together.
        const uint32x4_t low = vpaddlq_u16(vpaddlq_u8(bytes[p][2 * v]));
        const uint32x4_t high = vpaddlq_u16(vpaddlq_u8(bytes[p][2 * v + 1]));
        count[p][v] = vaddq_u32(count[p][v], vpaddq_u32(low, high));
      }
  }
}

template <int P>
void planes_tile(const PlanesArgs& a, size_t block, size_t pixel) {
  const size_t lane = block * kLanes;
  int32x4_t sum[P][4];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int v = 0; v < 4; ++v)
      sum[p][v] = vmlaq_n_s32(vld1q_s32(a.bias + a.bias_rows[pixel + p] + lane + 4 * v),
                              vld1q_s32(a.window_factor + lane + 4 * v), a.sums[pixel + p]);
  for (size_t i = 0; i < a.weight_planes; ++i) {
    const size_t plane = block * a.weight_planes + i;
    const uint8_t* w = a.weights + plane * a.steps * kLanes * 8;
    for (size_t j = 0; j < a.operand_planes; ++j) {
      const uint8_t* window[P];
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) window[p] = a.in + j * a.plane_bytes + a.pixels[pixel + p];
      uint32x4_t count[P][4];
      count_pair<P>(a, w, window, count);
      KOMPAKT_UNROLL
      for (int v = 0; v < 4; ++v) {
        const int32x4_t factor = vmulq_n_s32(vld1q_s32(a.weight_factor + plane * kLanes + 4 * v), a.operand_factor[j]);
        KOMPAKT_UNROLL
        for (int p = 0; p < P; ++p) sum[p][v] = vmlaq_s32(sum[p][v], factor, vreinterpretq_s32_u32(count[p][v]));
      }
    }
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int v = 0; v < 4; ++v) vst1q_s32(a.out + (pixel + p) * a.pitch + lane + 4 * v, sum[p][v]);
}

void planes(const PlanesArgs& a) {
  for (size_t b = 0; b < a.block_count; ++b) {
    size_t p = 0;
    for (; p + 2 <= a.pixel_count; p += 2) planes_tile<2>(a, b, p);
    for (; p < a.pixel_count; ++p) planes_tile<1>(a, b, p);
  }
}
