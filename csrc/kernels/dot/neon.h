// Dot products for Arm's Advanced SIMD.
//
// u8 x s8: operands become signed bytes x - 128, and 128 * sum(weights) goes to the bias. Weights lie in [-127, 127], so
// two products fit 16 bits: 2 * 128 * 127 = 32512. s16 x s16: smlal adds products into 32 bits.
#pragma once

// 16 lanes of sums, as they start for u8 x s8.
struct StartSums {
  int32x4_t v[4];
};

inline StartSums shifted_bias(const DotU8& a, size_t block) {
  const int8_t* w = a.weights + block * a.tap_count * kLanes * 4;
  StartSums start;
  KOMPAKT_UNROLL
  for (int v = 0; v < 4; ++v) start.v[v] = vdupq_n_s32(0);
  for (size_t k = 0; k < a.tap_count; ++k, w += kLanes * 4)
    KOMPAKT_UNROLL
    for (int v = 0; v < 4; ++v) start.v[v] = vpadalq_s16(start.v[v], vpaddlq_s8(vld1q_s8(w + 16 * v)));
  KOMPAKT_UNROLL
  for (int v = 0; v < 4; ++v)
    start.v[v] = vaddq_s32(vld1q_s32(a.bias + block * kLanes + 4 * v), vshlq_n_s32(start.v[v], 7));
  return start;
}

inline int32_t load_group(const void* at) {
  int32_t group;
  __builtin_memcpy(&group, at, sizeof group);
  return group;
}

// Where the windows of P pixels begin.
template <int P, typename Operand, typename Weight>
inline void start_windows(const DotArgs<Operand, Weight>& a, size_t pixel, const Operand* (&window)[P]) {
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) window[p] = a.in + a.pixels[pixel + p];
}

// Sums of half lanes, none yet.
template <int P>
inline void start_halves(int32x4_t (&half)[P][8]) {
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int v = 0; v < 8; ++v) half[p][v] = vdupq_n_s32(0);
}

// Four operands minus 128, repeated.
inline int8x16_t signed_group(const uint8_t* at) {
  return veorq_s8(vreinterpretq_s8_s32(vdupq_n_s32(load_group(at))), vdupq_n_s8(-128));
}

// Sums of half lanes to sums of lanes, and out.
inline void store_halves(const int32x4_t (&half)[8], const int32x4_t (&start)[4], int32_t* out) {
  KOMPAKT_UNROLL
  for (int v = 0; v < 4; ++v) vst1q_s32(out + 4 * v, vaddq_s32(start[v], vpaddq_s32(half[2 * v], half[2 * v + 1])));
}

// 16 products of a tap, or 32 of two taps, into half lanes.
inline void add_tap(int32x4_t (&half)[8], const int8_t* w, int8x16_t x) {
  KOMPAKT_UNROLL
  for (int v = 0; v < 4; ++v) {
    const int8x16_t weights = vld1q_s8(w + 16 * v);
    half[2 * v] = vpadalq_s16(half[2 * v], vmull_s8(vget_low_s8(weights), vget_low_s8(x)));
    half[2 * v + 1] = vpadalq_s16(half[2 * v + 1], vmull_high_s8(weights, x));
  }
}

inline void add_two_taps(int32x4_t (&half)[8], const int8_t* w, int8x16_t x, int8x16_t next) {
  KOMPAKT_UNROLL
  for (int v = 0; v < 4; ++v) {
    const int8x16_t weights = vld1q_s8(w + 16 * v), behind = vld1q_s8(w + 4 * kLanes + 16 * v);
    const int16x8_t low = vmull_s8(vget_low_s8(weights), vget_low_s8(x));
    const int16x8_t high = vmull_high_s8(weights, x);
    half[2 * v] = vpadalq_s16(half[2 * v], vmlal_s8(low, vget_low_s8(behind), vget_low_s8(next)));
    half[2 * v + 1] = vpadalq_s16(half[2 * v + 1], vmlal_high_s8(high, behind, next));
  }
}

template <int P>
void dot_u8_tile(const DotU8& a, const StartSums& start, size_t block, size_t pixel) {
  const int8_t* w = a.weights + block * a.tap_count * kLanes * 4;
  const uint8_t* window[P];
  int32x4_t half[P][8];
  start_windows(a, pixel, window);
  start_halves(half);
  size_t k = 0;
  for (; k + 2 <= a.tap_count; k += 2, w += 2 * kLanes * 4)
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p)
      add_two_taps(half[p], w, signed_group(window[p] + a.taps[k]), signed_group(window[p] + a.taps[k + 1]));
  if (k < a.tap_count)
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) add_tap(half[p], w, signed_group(window[p] + a.taps[k]));
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) store_halves(half[p], start.v, a.out + (pixel + p) * a.pitch + block * kLanes);
}

[[maybe_unused]] void dot_u8(const DotU8& a) {
  for (size_t b = 0; b < a.block_count; ++b) {
    const StartSums start = shifted_bias(a, b);
    size_t p = 0;
    for (; p + 2 <= a.pixel_count; p += 2) dot_u8_tile<2>(a, start, b, p);
    for (; p < a.pixel_count; ++p) dot_u8_tile<1>(a, start, b, p);
  }
}

template <int P>
void dot_s16_tile(const DotS16& a, size_t block, size_t pixel) {
  const int16_t* w = a.weights + block * a.tap_count * kLanes * 2;
  const int16_t* window[P];
  int32x4_t half[P][8];
  start_windows(a, pixel, window);
  start_halves(half);
  for (size_t k = 0; k < a.tap_count; ++k, w += 2 * kLanes) {
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      const int16x8_t x = vreinterpretq_s16_s32(vdupq_n_s32(load_group(window[p] + a.taps[k])));
      KOMPAKT_UNROLL
      for (int v = 0; v < 4; ++v) {
        const int16x8_t weights = vld1q_s16(w + 8 * v);
        half[p][2 * v] = vmlal_s16(half[p][2 * v], vget_low_s16(weights), vget_low_s16(x));
        half[p][2 * v + 1] = vmlal_high_s16(half[p][2 * v + 1], weights, x);
      }
    }
  }
  int32x4_t start[4];
  KOMPAKT_UNROLL
  for (int v = 0; v < 4; ++v) start[v] = vld1q_s32(a.bias + block * kLanes + 4 * v);
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) store_halves(half[p], start, a.out + (pixel + p) * a.pitch + block * kLanes);
}

[[maybe_unused]] void dot_s16(const DotS16& a) {
  for (size_t b = 0; b < a.block_count; ++b) {
    size_t p = 0;
    for (; p + 2 <= a.pixel_count; p += 2) dot_s16_tile<2>(a, b, p);
    for (; p < a.pixel_count; ++p) dot_s16_tile<1>(a, b, p);
  }
}
