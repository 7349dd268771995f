// Depthwise convolution of neighbouring pixels that share columns of their windows. A level defines
//   Column   four taps below each other of 16 channels,   load_column(at, taps)
//   DepthwiseSums     of 16 channels,                              no_sums(), add_products(sums, column, weight),
//                                                         store_sums(sums, start, out): adds 16 numbers at `start`
//   ColumnWeight   of a column,                                 load_weight(at)
//   store_depthwise<P>(codes, sums, pixel): P pixels as codes
#pragma once

// P pixels, each window M columns behind the one before, S columns from step `first`.
template <int P, int S, int M>
inline void depthwise_tile(const DepthwiseArgs& a, size_t first, size_t pixel, const ColumnWeight (&weight)[S]) {
  constexpr int kColumns = (P - 1) * M + S;
  const size_t* taps = a.taps + first * 4;
  const uint8_t* window[P];
  DepthwiseSums sums[P];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    window[p] = a.in + a.pixels[pixel + p];
    sums[p] = no_sums();
  }
  KOMPAKT_UNROLL
  for (int c = 0; c < kColumns; ++c) {
    const int owner = c / M < P ? c / M : P - 1;  // the last pixel that reads it
    const Column column = load_column(window[owner], taps + (c - owner * M) * 4);
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p)
      if (c >= p * M && c - p * M < S) add_products(sums[p], column, weight[c - p * M]);
  }
  if (a.codes != nullptr) {
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) add_bias(sums[p], a.bias);
    return store_depthwise<P>(*a.codes, sums, pixel);
  }
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    int32_t* out = a.out + (pixel + p) * a.pitch;
    add_bias(sums[p], first == 0 ? a.bias : out);
    store_sums(sums[p], out);
  }
}

// Whether the windows of `count` pixels follow each other.
inline bool is_sliding(const DepthwiseArgs& a, size_t pixel, size_t count) {
  if (a.slide == 0 || pixel + count > a.pixel_count) return false;
  for (size_t i = 1; i < count; ++i)
    if (a.pixels[pixel + i] - a.pixels[pixel + i - 1] != a.slide) return false;
  return true;
}

template <int S, int M>
void depthwise_steps(const DepthwiseArgs& a, size_t first) {
  ColumnWeight weight[S];
  for (size_t s = 0; s < S; ++s) weight[s] = load_weight(a.weights + (first + s) * kLanes * 4);
  for (size_t p = 0; p < a.pixel_count;) {
    if (is_sliding(a, p, 4)) {
      depthwise_tile<4, S, M>(a, first, p, weight);
      p += 4;
    } else if (is_sliding(a, p, 2)) {
      depthwise_tile<2, S, M>(a, first, p, weight);
      p += 2;
    } else {
      depthwise_tile<1, S, M>(a, first, p++, weight);
    }
  }
}

void depthwise(const DepthwiseArgs& a) {
  size_t s = 0;
  for (; s + 3 <= a.steps; s += 3)
    if (a.slide_steps == 2)
      depthwise_steps<3, 2>(a, s);
    else
      depthwise_steps<3, 1>(a, s);
  for (; s < a.steps; ++s) depthwise_steps<1, 1>(a, s);
}
