// Winograd's F(4x4, 3x3) on whole numbers of 16 bits: transforms, and the order of a tile's work. Every level brings
// its own products, `winograd4_products`.
//
// A window of 6x6 operands d gives 36 points V = B'dB, and 16 outputs Y = A'(sum over channels of U * V)A / 576:
//        | 4  0 -5  0  1  0 |        |  6  0  0 |
//        | 0 -4 -4  1  1  0 |        | -1 -1 -1 |         | 1  4  4  1  1  0 |   x 24
//   B' = | 0  4 -4 -1  1  0 |   6G = | -1  1 -1 |   A' =  | 0  2 -2  1 -1  0 |   x 12
//        | 0 -2 -1  2  1  0 |        |  1  2  4 |         | 0  1  1  1  1  0 |   x  6
//        | 0  2 -1 -2  1  0 |        |  1 -2  4 |         | 0  1 -1  2 -2  1 |   x  6
//        | 0  4  0 -5  0  1 |        |  0  0  6 |
// with U = (6G)g(6G)'. The rows of A' are divided by what they have in common, so that an output is 24, 12, 6 or 6
// times 24, 12, 6 or 6 times too large: a power of two, which is shifted out, times 9, which has an inverse modulo 2^32.
// So sums may wrap as long as 64 times the output fits int32. V lies within 68 * 255 and U within 49 * 127: both fit
// int16, and two products fit int32.
#pragma once

// Bytes of a vector, and tiles whose sums of one point and one block stay in registers.
#if defined(__AVX512F__)
constexpr size_t kWinograd4Bytes = 64, kWinograd4Tiles = 8;
#elif defined(__AVX2__)
constexpr size_t kWinograd4Bytes = 32, kWinograd4Tiles = 6;
#else
constexpr size_t kWinograd4Bytes = 16, kWinograd4Tiles = 1;
#endif
constexpr size_t kWinograd4Points = 36;
constexpr uint32_t kInverseOfNine = 0x38e38e39;

typedef uint8_t Winograd4Bytes __attribute__((vector_size(kWinograd4Bytes / 2)));
typedef uint16_t Winograd4Words __attribute__((vector_size(kWinograd4Bytes)));
// At most 32 bytes: 16 lanes of one channel.
constexpr size_t kWeightBytes = kWinograd4Bytes < 32 ? kWinograd4Bytes : 32;
typedef uint16_t WeightWords __attribute__((vector_size(kWeightBytes)));
typedef int16_t WeightLevels __attribute__((vector_size(kWeightBytes)));
typedef uint8_t FewWinograd4Bytes __attribute__((vector_size(kLanes)));
typedef uint16_t FewWinograd4Words __attribute__((vector_size(2 * kLanes)));

// Of a level: adds to the sums of one point of `tiles` tiles, at most kWinograd4Tiles, `steps` pairs of channels.
void winograd4_products(size_t tiles, size_t depth, const int16_t* x, const int16_t* w, size_t steps, int32_t* sums);

// B' of six vectors; modulo 2^16.
template <typename Vector>
inline void winograd4_spread(const Vector (&d)[6], Vector (&v)[6]) {
  const Vector even = d[4] - d[2], odd = (d[3] - d[1]) * 2;
  const Vector sum = d[4] - d[2] * 4, difference = d[3] - d[1] * 4;
  v[0] = (d[0] - d[2]) * 4 + even;
  v[1] = sum + difference;
  v[2] = sum - difference;
  v[3] = even + odd;
  v[4] = even - odd;
  v[5] = d[5] - d[3] - odd * 2;
}

// A' of six vectors; modulo 2^32.
template <typename Vector>
inline void winograd4_gather(const Vector (&m)[6], Vector (&y)[4]) {
  const Vector a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  y[0] = m[0] + a * 4 + c;
  y[1] = b * 2 + d;
  y[2] = a + c;
  y[3] = b + d * 2 + m[5];
}

// Rows first: six combinations of six rows of a pixel, as (6, depth).
template <typename Bytes, typename Words>
inline void winograd4_rows(const Winograd4Input& a, size_t pixel, int16_t* rows) {
  for (size_t c = 0; c < a.depth; c += sizeof(Bytes)) {
    Words d[6], v[6];
    KOMPAKT_UNROLL
    for (size_t r = 0; r < 6; ++r)
      d[r] = __builtin_convertvector(load_vector<Bytes>(a.in + r * a.row + pixel * a.channels + c), Words);
    winograd4_spread(d, v);
    KOMPAKT_UNROLL
    for (size_t r = 0; r < 6; ++r) store_vector(rows + r * a.depth + c, v[r]);
  }
}

// Then columns: tiles begin at every fourth pixel.
inline void winograd4_columns(size_t n, const int16_t* rows, int16_t* out) {
  using Words = Winograd4Words;
  for (size_t i = 0; i < n; i += kWinograd4Bytes / 2) {
    Words d[6], v[6];
    KOMPAKT_UNROLL
    for (size_t j = 0; j < 6; ++j) d[j] = load_vector<Words>(rows + j * n + i);
    winograd4_spread(d, v);
    KOMPAKT_UNROLL
    for (size_t j = 0; j < 6; ++j) store_vector(out + j * n + i, v[j]);
  }
}

void winograd4_input(const Winograd4Input& a) {
  const size_t n = 6 * a.depth;
  for (size_t pixel = 0; pixel < 4 * a.tiles + 2; ++pixel) {
    if (a.depth % (kWinograd4Bytes / 2) == 0)
      winograd4_rows<Winograd4Bytes, Winograd4Words>(a, pixel, a.rows + pixel * n);
    else
      winograd4_rows<FewWinograd4Bytes, FewWinograd4Words>(a, pixel, a.rows + pixel * n);
  }
  for (size_t tile = 0; tile < a.tiles; ++tile) winograd4_columns(n, a.rows + 4 * tile * n, a.out + 6 * tile * n);
}

// 16 outputs from the sums of a tile's points, (6 columns, 6 rows, 16); added to `start`, or to what `out` holds.
inline void winograd4_output(const int32_t* sums, const int32_t* start, int32_t* const* out, size_t block) {
  typedef uint32_t Sums __attribute__((vector_size(kWinograd4Bytes)));
  typedef int32_t Outputs __attribute__((vector_size(kWinograd4Bytes)));
  constexpr int shift[4] = {3, 2, 1, 1};
  for (size_t c = 0; c < kLanes; c += kWinograd4Bytes / 4) {
    Sums half[4][6], m[6], y[4];
    KOMPAKT_UNROLL
    for (size_t j = 0; j < 6; ++j) {
      KOMPAKT_UNROLL
      for (size_t r = 0; r < 6; ++r) m[r] = load_vector<Sums>(sums + (j * 6 + r) * kLanes + c);
      winograd4_gather(m, y);
      KOMPAKT_UNROLL
      for (size_t r = 0; r < 4; ++r) half[r][j] = y[r];
    }
    KOMPAKT_UNROLL
    for (size_t r = 0; r < 4; ++r) {
      winograd4_gather(half[r], y);
      KOMPAKT_UNROLL
      for (size_t j = 0; j < 4; ++j) {
        int32_t* target = out[r * 4 + j] + block * kLanes + c;
        const Sums added = (Sums)((Outputs)(y[j] * kInverseOfNine) >> (shift[r] + shift[j]));
        store_vector(target, load_vector<Sums>(start != nullptr ? start + c : target) + added);
      }
    }
  }
}

// 6G of three vectors; modulo 2^16.
inline void winograd4_combine(WeightWords a, WeightWords b, WeightWords c, WeightWords (&u)[6]) {
  const WeightWords ends = a + c, far = a + c * 4, twice = b * 2;
  u[0] = a * 6;
  u[1] = -ends - b;
  u[2] = b - ends;
  u[3] = far + twice;
  u[4] = far - twice;
  u[5] = c * 6;
}

// Stores the points of one 3x3 kernel, columns of rows, `pitch` numbers apart.
inline void winograd4_points(const WeightWords (&g)[9], size_t pitch, int16_t* weights) {
  WeightWords half[3][6], u[6];
  KOMPAKT_UNROLL
  for (size_t kh = 0; kh < 3; ++kh) winograd4_combine(g[3 * kh], g[3 * kh + 1], g[3 * kh + 2], half[kh]);
  KOMPAKT_UNROLL
  for (size_t j = 0; j < 6; ++j) {
    winograd4_combine(half[0][j], half[1][j], half[2][j], u);
    KOMPAKT_UNROLL
    for (size_t r = 0; r < 6; ++r, weights += pitch) store_vector(weights, u[r]);
  }
}

// Steps whose transformed weights stay, with the operands and sums of a few tiles, in the first-level cache.
constexpr size_t kWinograd4Steps = 8;

// Levels of the steps after these come from far, and products in between keep the hardware from reading ahead.
void winograd4_weights(const uint8_t* levels, size_t steps, size_t pitch, int16_t* weights) {
  constexpr size_t step = 2 * kLanes, line = 64;
  for (size_t k = 0; k < steps; ++k, levels += 9 * step, weights += step) {
    for (size_t i = 0; i < 9 * step; i += line) __builtin_prefetch(levels + kWinograd4Steps * 9 * step + i);
    for (size_t c = 0; c < kLanes; c += sizeof(WeightWords) / 2) {
      WeightWords low[9], high[9];
      KOMPAKT_UNROLL
      for (size_t tap = 0; tap < 9; ++tap) {
        const WeightWords both = load_vector<WeightWords>(levels + tap * step + 2 * c);
        low[tap] = (WeightWords)((WeightLevels)(both << 8) >> 8);
        high[tap] = (WeightWords)((WeightLevels)both >> 8);
      }
      winograd4_points(low, pitch * step, weights + c);
      winograd4_points(high, pitch * step, weights + kLanes + c);
    }
  }
}

// Adds to the sums of all points of all tiles, (tiles, 36, 16), `steps` pairs of channels of one block. Tiles go in
// runs, as alike as possible.
inline void winograd4_add(size_t tile_count, size_t depth, const int16_t* x, const int16_t* weights, size_t pitch,
                          size_t steps, int32_t* sums) {
  const size_t runs = (tile_count + kWinograd4Tiles - 1) / kWinograd4Tiles;
  for (size_t run = 0; run < runs; ++run) {
    const size_t tile = tile_count * run / runs, tiles = tile_count * (run + 1) / runs - tile;
    for (size_t point = 0; point < kWinograd4Points; ++point)
      winograd4_products(tiles, depth, x + (tile * kWinograd4Points + point) * depth,
                         weights + point * pitch * 2 * kLanes, steps,
                         sums + (tile * kWinograd4Points + point) * kLanes);
  }
}

// Sums of one part of one block's channels, with weights that are transformed on the way.
inline void winograd4_sums(const Winograd4Args& a, const uint8_t* levels, size_t first, size_t end) {
  constexpr size_t pitch = kWinograd4Steps + 1;
  int16_t weights[kWinograd4Points * pitch * 2 * kLanes];
  for (size_t i = 0; i < a.tile_count * kWinograd4Points * kLanes; ++i) a.sums[i] = 0;
  for (size_t k = first; k < end; k += kWinograd4Steps) {
    const size_t steps = end - k < kWinograd4Steps ? end - k : kWinograd4Steps;
    winograd4_weights(levels + k * 9 * 2 * kLanes, steps, pitch, weights);
    winograd4_add(a.tile_count, a.depth, a.in + 2 * k, weights, pitch, steps, a.sums);
  }
}

void winograd4(const Winograd4Args& a) {
  int32_t few[kWinograd4Tiles * kWinograd4Points * kLanes];
  for (size_t b = 0; b < a.block_count; ++b) {
    const int32_t* start = a.bias + b * kLanes;
    for (size_t first = 0; first < a.steps; first += a.part, start = nullptr) {
      const size_t end = a.steps - first < a.part ? a.steps : first + a.part;
      if (a.levels != nullptr) winograd4_sums(a, a.levels + b * a.steps * 9 * 2 * kLanes, first, end);
      // A few tiles at a time, so that the sums of all points stay in the first-level cache.
      const size_t runs = (a.tile_count + kWinograd4Tiles - 1) / kWinograd4Tiles;
      for (size_t run = 0; run < runs; ++run) {
        const size_t tile = a.tile_count * run / runs, tiles = a.tile_count * (run + 1) / runs - tile;
        const int32_t* sums = few;
        if (a.levels == nullptr) {
          for (size_t i = 0; i < tiles * kWinograd4Points * kLanes; ++i) few[i] = 0;
          winograd4_add(tiles, a.depth, a.in + tile * kWinograd4Points * a.depth + 2 * first,
                        a.weights + (b * kWinograd4Points * a.pitch + first) * 2 * kLanes, a.pitch, end - first, few);
        } else {
          sums = a.sums + tile * kWinograd4Points * kLanes;
        }
        for (size_t t = 0; t < tiles; ++t)
          winograd4_output(sums + t * kWinograd4Points * kLanes, start, a.out + (tile + t) * 16, b);
      }
    }
  }
}
