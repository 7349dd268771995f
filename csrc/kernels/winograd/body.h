// Transforms of Winograd's F(2x2, 3x3).
//
// A window of 4x4 pixels d gives 16 points V = B'dB + offset, and four outputs Y = A'(sum over channels of U * V)A / 4:
//        | 1  0 -1  0 |        | 2  0  0 |        | 1  1  1  0 |
//   B' = | 0  1  1  0 |   2G = | 1  1  1 |   A' = | 0  1 -1 -1 |
//        | 0 -1  1  0 |        | 1 -1  1 |
//        | 0  1  0 -1 |        | 0  0  2 |
// with U = (2G)g(2G)', so that all numbers are integers and the division is exact.
#pragma once

#if defined(__AVX512F__)
typedef uint8_t WinogradBytes __attribute__((vector_size(64)));
#elif defined(__AVX2__)
typedef uint8_t WinogradBytes __attribute__((vector_size(32)));
#else
typedef uint8_t WinogradBytes __attribute__((vector_size(16)));
#endif
typedef uint16_t WinogradWords __attribute__((vector_size(sizeof(WinogradBytes))));
typedef uint8_t FewWinogradBytes __attribute__((vector_size(16)));

// Rows first: four combinations of four rows of pixels, as (pixels, 4, depth).
template <typename Bytes>
inline void winograd_rows(const WinogradInput& a, size_t pixel, uint8_t* rows) {
  for (size_t c = 0; c < a.depth; c += sizeof(Bytes)) {
    Bytes d[4];
    KOMPAKT_UNROLL
    for (size_t r = 0; r < 4; ++r) d[r] = load_vector<Bytes>(a.in + r * a.row + pixel * a.channels + c);
    const Bytes v[4] = {d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]};
    KOMPAKT_UNROLL
    for (size_t r = 0; r < 4; ++r) store_vector(rows + (pixel * 4 + r) * a.depth + c, v[r]);
  }
}

// Then columns: tiles begin at every second pixel.
inline void winograd_columns(const WinogradInput& a, size_t tile, const uint8_t* rows) {
  using Bytes = WinogradBytes;
  const size_t n = 4 * a.depth;
  const uint8_t* x = rows + 2 * tile * n;
  uint8_t* out = a.out + 4 * tile * n;
  for (size_t i = 0; i < n; i += sizeof(Bytes)) {
    Bytes d[4];
    KOMPAKT_UNROLL
    for (size_t j = 0; j < 4; ++j) d[j] = load_vector<Bytes>(x + j * n + i);
    const Bytes shifted = d[1] + a.offset;
    const Bytes v[4] = {d[0] - d[2] + a.offset, shifted + d[2], d[2] - d[1] + a.offset, shifted - d[3]};
    KOMPAKT_UNROLL
    for (size_t j = 0; j < 4; ++j) store_vector(out + j * n + i, v[j]);
  }
}

void winograd_input(const WinogradInput& a) {
  for (size_t pixel = 0; pixel < 2 * a.tiles + 2; ++pixel) {
    if (a.depth % sizeof(WinogradBytes) == 0)
      winograd_rows<WinogradBytes>(a, pixel, a.rows);
    else
      winograd_rows<FewWinogradBytes>(a, pixel, a.rows);
  }
  for (size_t tile = 0; tile < a.tiles; ++tile) winograd_columns(a, tile, a.rows);
}

// Four combinations of three vectors, as the rows of 2G say.
template <typename Bytes>
inline void winograd_combine(const Bytes& a, const Bytes& b, const Bytes& c, Bytes (&v)[4]) {
  const Bytes outer = a + c;
  v[0] = a + a;
  v[1] = outer + b;
  v[2] = outer - b;
  v[3] = c + c;
}

// One step's levels of every tap, from fields of `Bits` bits at bit `shift`.
template <int Bits>
inline void winograd_levels(const uint8_t* packed, int shift, WinogradBytes (&g)[9]) {
  constexpr uint8_t kMask = (1 << Bits) - 1, kOffset = 1 << (Bits - 1);
  KOMPAKT_UNROLL
  for (size_t tap = 0; tap < 9; ++tap)
    g[tap] = ((WinogradBytes)(load_vector<WinogradWords>(packed + tap * 64) >> shift) & kMask) - kOffset;
}

template <int Bits>
void winograd_expand(const uint8_t* packed, size_t steps, int8_t* weights) {
  constexpr size_t kFields = 8 / Bits;
  for (size_t k = 0; k < steps; ++k)
    for (size_t c = 0; c < 64; c += sizeof(WinogradBytes)) {
      WinogradBytes g[9], half[3][4], u[4];
      winograd_levels<Bits>(packed + k / kFields * 9 * 64 + c, static_cast<int>(k % kFields) * Bits, g);
      KOMPAKT_UNROLL
      for (size_t kw = 0; kw < 3; ++kw) winograd_combine(g[kw], g[3 + kw], g[6 + kw], half[kw]);
      KOMPAKT_UNROLL
      for (size_t r = 0; r < 4; ++r) {
        winograd_combine(half[0][r], half[1][r], half[2][r], u);
        KOMPAKT_UNROLL
        for (size_t j = 0; j < 4; ++j) store_vector(weights + ((j * steps + k) * 4 + r) * 64 + c, u[j]);
      }
    }
}

void winograd_weights(const uint8_t* packed, int bits, size_t steps, int8_t* weights) {
  if (bits == 2) return winograd_expand<2>(packed, steps, weights);
  if (bits == 4) return winograd_expand<4>(packed, steps, weights);
  winograd_expand<8>(packed, steps, weights);
}
