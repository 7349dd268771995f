// Depthwise convolution of neighbouring pixels that share columns of their windows. A level defines
//   kParts, kPartLanes    a block is done in parts of so many channels
//   Column                four taps below each other,   load_column<has fourth>(at, taps)
//   ColumnWeight          of those,                     load_weight(at)
//   PartSums              load_sums(at), add_products(sums, column, weight), store_sums(sums, at)
//   store_depthwise<P>(codes, sums, block, pixel)       P pixels as codes
#pragma once

// How a call is done: S columns at a time, neighbouring windows M columns apart; with three taps a column, or four.
template <int S_, int M_, bool kHasFourth_>
struct Sliding {
  static constexpr int S = S_, M = M_;
  static constexpr bool kHasFourth = kHasFourth_;
};

// Adds S columns from `taps` on for P pixels of a part.
template <int P, typename How>
KOMPAKT_INLINE inline void add_columns(const uint8_t* in, const size_t* pixels, const size_t* taps,
                                       const ColumnWeight (&weight)[How::S], PartSums (&sums)[P]) {
  constexpr int S = How::S, M = How::M;
  KOMPAKT_UNROLL
  for (int c = 0; c < (P - 1) * M + S; ++c) {
    const int owner = c / M < P ? c / M : P - 1;  // the last pixel that reads it
    const Column column = load_column<How::kHasFourth>(in + pixels[owner], taps + (c - owner * M) * 4);
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p)
      if (c >= p * M && c - p * M < S) add_products(sums[p], column, weight[c - p * M]);
  }
}

constexpr size_t kBlocksAtOnce = 8;  // whose weights are kept, made ready, in the first-level cache

template <typename How>
using ReadyWeights = ColumnWeight[kBlocksAtOnce][kParts][How::S];

// P neighbouring pixels, `count` blocks, S columns from step `first`.
template <int P, typename How>
void depthwise_pixels(const DepthwiseArgs& a, size_t first, size_t pixel, size_t block, size_t count,
                      const ReadyWeights<How>& weights) {
  const bool makes_codes = a.codes != nullptr;
  for (size_t b = block; b < block + count; ++b) {
    PartSums sums[kParts][P];
    KOMPAKT_UNROLL
    for (int part = 0; part < kParts; ++part) {
      const size_t channel = b * kLanes + part * kPartLanes;
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p)
        sums[part][p] = load_sums(first == 0 ? a.bias + channel : a.out + (pixel + p) * a.pitch + channel);
      add_columns<P, How>(a.in + channel, a.pixels + pixel, a.taps + first * 4, weights[b - block][part], sums[part]);
      if (makes_codes) continue;
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) store_sums(sums[part][p], a.out + (pixel + p) * a.pitch + channel);
    }
    if (makes_codes) store_depthwise<P>(*a.codes, sums, b, pixel);
  }
}

// Whether the windows of `count` pixels follow each other.
inline bool is_sliding(const DepthwiseArgs& a, size_t pixel, size_t count) {
  if (a.slide == 0 || pixel + count > a.pixel_count) return false;
  for (size_t i = 1; i < count; ++i)
    if (a.pixels[pixel + i] - a.pixels[pixel + i - 1] != a.slide) return false;
  return true;
}

template <typename How>
void depthwise_steps(const DepthwiseArgs& a, size_t first) {
  for (size_t block = 0; block < a.block_count; block += kBlocksAtOnce) {
    const size_t count = a.block_count - block < kBlocksAtOnce ? a.block_count - block : kBlocksAtOnce;
    ReadyWeights<How> weights;
    for (size_t b = 0; b < count; ++b)
      for (size_t s = 0; s < How::S; ++s)
        for (size_t part = 0; part < kParts; ++part)
          weights[b][part][s] =
              load_weight(a.weights + (((block + b) * a.steps + first + s) * kLanes + part * kPartLanes) * 4);
    for (size_t p = 0; p < a.pixel_count;) {
      if (is_sliding(a, p, 4)) {
        depthwise_pixels<4, How>(a, first, p, block, count, weights);
        p += 4;
      } else if (is_sliding(a, p, 2)) {
        depthwise_pixels<2, How>(a, first, p, block, count, weights);
        p += 2;
      } else {
        depthwise_pixels<1, How>(a, first, p++, block, count, weights);
      }
    }
  }
}

void depthwise(const DepthwiseArgs& a) {
  size_t s = 0;
  const bool has_fourth = a.column_taps > 3;
  for (; s + 3 <= a.steps; s += 3) {
    if (a.slide_steps == 2)
      has_fourth ? depthwise_steps<Sliding<3, 2, true>>(a, s) : depthwise_steps<Sliding<3, 2, false>>(a, s);
    else
      has_fourth ? depthwise_steps<Sliding<3, 1, true>>(a, s) : depthwise_steps<Sliding<3, 1, false>>(a, s);
  }
  for (; s < a.steps; ++s) depthwise_steps<Sliding<1, 1, true>>(a, s);
}
