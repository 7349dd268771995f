// Dot products u8 x s8 on AMX tiles, an implicit im2col.
//
// One step is 16 taps. A tile of operands has a row of 64 bytes per pixel; a tile of weights is 16 taps of one block as
// they are packed; a tile of sums has a row per pixel and a column per channel. Two tiles of operands and two of weights
// make four of sums: 32 pixels x 2 blocks.
//
//   tmm4 (16 pixels x 64 bytes)   x   tmm6, tmm7 (16 taps x 16 channels x 4)   ->   tmm0, tmm1
//   tmm5 (the next 16 pixels)                                                       tmm2, tmm3
//
// Operands are loaded from where they lie if the taps of a step are neighbours and the pixels equally far apart, else
// from a panel on the stack. The loop over blocks is the inner one, so that operands of up to 16 steps (32 KiB) stay in
// the first-level cache and weights stream from the second: 2 KiB per 64 cycles, where both would be 4 KiB.
#pragma once

constexpr size_t kTileRows = 16;
constexpr size_t kStepTaps = 16;
constexpr size_t kStepBytes = 4 * kStepTaps;
constexpr size_t kTileBytes = kTileRows * kStepBytes;
constexpr size_t kMaxSteps = 16;

// Pixels below which a tile would be so empty that vpdpbusd is as fast.
constexpr size_t kFewPixels = 4;

// Where one tile of operands lies.
struct TileSource {
  const uint8_t* at;
  size_t stride;
};

// Neighbouring taps of a step: their place in the input, and in a row of the panel.
struct TapRun {
  size_t offset, first;
  __mmask64 bytes;
};

// Runs of neighbours among the taps of a step; gives their number.
inline size_t find_runs(const size_t* taps, TapRun* runs) {
  size_t count = 0;
  for (size_t first = 0, end; first < kStepTaps; first = end) {
    for (end = first + 1; end < kStepTaps && taps[end] == taps[end - 1] + 4;) ++end;
    runs[count++] = {taps[first], 4 * first, ~__mmask64{0} >> (kStepBytes - 4 * (end - first))};
  }
  return count;
}

// Whether all taps of a step are neighbours.
inline bool is_one_run(const size_t* taps) {
  const __m512i first = _mm512_set1_epi64(static_cast<long long>(taps[0]));
  const __m512i low = _mm512_add_epi64(first, _mm512_setr_epi64(0, 4, 8, 12, 16, 20, 24, 28));
  const __m512i high = _mm512_add_epi64(low, _mm512_set1_epi64(32));
  return (_mm512_cmpneq_epi64_mask(_mm512_loadu_si512(taps), low) |
          _mm512_cmpneq_epi64_mask(_mm512_loadu_si512(taps + 8), high)) == 0;
}

inline bool is_even(const size_t* pixels, size_t rows, size_t stride) {
  for (size_t r = 1; r < rows; ++r)
    if (pixels[r] - pixels[r - 1] != stride) return false;
  return true;
}

// Copies the operands of one step to the panel: (rows, 64).
inline void copy_operands(const DotU8& a, const size_t* pixels, size_t rows, const size_t* taps, uint8_t* panel) {
  TapRun runs[kStepTaps];
  const size_t run_count = find_runs(taps, runs);
  for (size_t r = 0; r < rows; ++r, panel += kStepBytes) {
    const uint8_t* window = a.in + pixels[r];
    for (size_t i = 0; i < run_count; ++i)
      _mm512_mask_storeu_epi8(panel + runs[i].first, runs[i].bytes,
                              _mm512_maskz_loadu_epi8(runs[i].bytes, window + runs[i].offset));
  }
}

// Prepares the operands of `count` steps from `first` on for one tile of pixels.
inline void gather_operands(const DotU8& a, size_t pixel, size_t rows, size_t first, size_t count, uint8_t* panel,
                            TileSource* sources) {
  const size_t* pixels = a.pixels + pixel;
  const size_t* taps = a.taps + first * kStepTaps;
  const size_t stride = rows > 1 ? pixels[1] - pixels[0] : kStepBytes;
  const bool may_stay = is_even(pixels, rows, stride);
  for (size_t s = 0; s < count; ++s, taps += kStepTaps, panel += kTileBytes) {
    if (may_stay && is_one_run(taps)) {
      sources[s] = {a.in + pixels[0] + taps[0], stride};
    } else {
      copy_operands(a, pixels, rows, taps, panel);
      sources[s] = {panel, kStepBytes};
    }
  }
}

// Sums so far: the bias, the same for every pixel, or what the steps before have left in `out`.
template <int M, int N>
inline void load_sums(const DotU8& a, size_t block, const int32_t* out, bool is_first) {
  const int32_t* at = is_first ? a.bias + block * kLanes : out;
  const size_t stride = is_first ? 0 : a.pitch * sizeof(int32_t);
  const int32_t* below = is_first ? at : at + kTileRows * a.pitch;
  load_tile<0>(at, stride);
  if constexpr (N == 2) load_tile<1>(at + kLanes, stride);
  if constexpr (M == 2) load_tile<2>(below, stride);
  if constexpr (M == 2 && N == 2) load_tile<3>(below + kLanes, stride);
}

template <int M, int N>
inline void store_sums(const DotU8& a, int32_t* out) {
  const size_t stride = a.pitch * sizeof(int32_t);
  int32_t* below = out + kTileRows * a.pitch;
  store_tile<0>(out, stride);
  if constexpr (N == 2) store_tile<1>(out + kLanes, stride);
  if constexpr (M == 2) store_tile<2>(below, stride);
  if constexpr (M == 2 && N == 2) store_tile<3>(below + kLanes, stride);
}

// M tiles of pixels x N blocks over `count` steps from `first` on.
template <int M, int N>
inline void dot_tiles(const DotU8& a, size_t pixel, size_t block, size_t first, size_t count,
                      const TileSource (&x)[M][kMaxSteps]) {
  const size_t block_bytes = a.tap_count * kLanes * 4;
  const int8_t* w = a.weights + block * block_bytes + first * kTileBytes;
  int32_t* out = a.out + pixel * a.pitch + block * kLanes;
  load_sums<M, N>(a, block, out, first == 0);
  for (size_t s = 0; s < count; ++s, w += kTileBytes) {
    load_tile<6>(w, kStepBytes);
    load_tile<4>(x[0][s].at, x[0][s].stride);
    multiply_tiles<0, 4, 6>();
    if constexpr (N == 2) {
      load_tile<7>(w + block_bytes, kStepBytes);
      multiply_tiles<1, 4, 7>();
    }
    if constexpr (M == 2) {
      load_tile<5>(x[1][s].at, x[1][s].stride);
      multiply_tiles<2, 5, 6>();
    }
    if constexpr (M == 2 && N == 2) multiply_tiles<3, 5, 7>();
  }
  store_sums<M, N>(a, out);
}

// All blocks of the pixels whose tiles are configured: 16 rows in all tiles but the last, which has `last_rows`.
template <int M>
void dot_pixels(const DotU8& a, size_t pixel, size_t last_rows) {
  alignas(64) uint8_t panel[M][kMaxSteps * kTileBytes];
  TileSource x[M][kMaxSteps];
  const size_t steps = a.tap_count / kStepTaps;
  const size_t parts = (steps + kMaxSteps - 1) / kMaxSteps;
  for (size_t part = 0; part < parts; ++part) {
    const size_t first = steps * part / parts, count = steps * (part + 1) / parts - first;
    for (size_t m = 0; m < M; ++m)
      gather_operands(a, pixel + m * kTileRows, m + 1 < M ? kTileRows : last_rows, first, count, panel[m], x[m]);
    size_t b = 0;
    for (; b + 2 <= a.block_count; b += 2) dot_tiles<M, 2>(a, pixel, b, first, count, x);
    if (b < a.block_count) dot_tiles<M, 1>(a, pixel, b, first, count, x);
  }
}

// Rows of the upper and the lower tiles of pixels; every row is 64 bytes, every tile of weights 16 taps.
inline void configure(size_t upper, size_t lower) {
  TileConfig config;
  const size_t rows[8] = {upper, upper, lower, lower, upper, lower, kStepTaps, kStepTaps};
  for (size_t t = 0; t < 8; ++t) {
    config.rows[t] = static_cast<uint8_t>(rows[t]);
    config.row_bytes[t] = kStepBytes;
  }
  configure_tiles(config);
}

void dot_amx(const DotU8& a) {
  if (a.pixel_count < kFewPixels) return dot(a);
  size_t p = 0;
  if (a.pixel_count >= 2 * kTileRows) configure(kTileRows, kTileRows);
  for (; p + 2 * kTileRows <= a.pixel_count; p += 2 * kTileRows) dot_pixels<2>(a, p, kTileRows);
  const size_t rest = a.pixel_count - p;
  if (rest > kTileRows) {
    configure(kTileRows, rest - kTileRows);
    dot_pixels<2>(a, p, rest - kTileRows);
  } else if (rest > 0) {
    configure(rest, kTileRows);
    dot_pixels<1>(a, p, rest);
  }
  release_tiles();
}
