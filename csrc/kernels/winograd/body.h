// Transforms of Winograd's F(2x2, 3x3).
//
// A window of 4x4 pixels d gives 16 points V = B'dB + offset, and four outputs Y = A'(sum over channels of U * V)A / 4:
//        | 1  0 -1  0 |        | 2  0  0 |        | 1  1  1  0 |
//   B' = | 0  1  1  0 |   2G = | 1  1  1 |   A' = | 0  1 -1 -1 |
//        | 0 -1  1  0 |        | 1 -1  1 |
//        | 0  1  0 -1 |        | 0  0  2 |
// with U = (2G)g(2G)', so that all numbers are integers and the division is exact.
#pragma once

// Rows first: four combinations of four rows of pixels, as (pixels, 4, depth).
template <size_t N>
inline void winograd_rows(const WinogradInput& a, size_t pixel, uint8_t* rows) {
  typedef uint8_t Bytes __attribute__((vector_size(N)));
  for (size_t c = 0; c < a.depth; c += N) {
    Bytes d[4];
    for (size_t r = 0; r < 4; ++r) __builtin_memcpy(&d[r], a.in + r * a.row + pixel * a.channels + c, N);
    const Bytes v[4] = {d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]};
    for (size_t r = 0; r < 4; ++r) __builtin_memcpy(rows + (pixel * 4 + r) * a.depth + c, &v[r], N);
  }
}

// Then columns: tiles begin at every second pixel.
inline void winograd_columns(const WinogradInput& a, size_t tile, const uint8_t* rows) {
  typedef uint8_t Bytes __attribute__((vector_size(64)));
  const size_t n = 4 * a.depth;
  const uint8_t* x = rows + 2 * tile * n;
  uint8_t* out = a.out + 4 * tile * n;
  for (size_t i = 0; i < n; i += 64) {
    Bytes d[4];
    for (size_t j = 0; j < 4; ++j) __builtin_memcpy(&d[j], x + j * n + i, 64);
    const Bytes shifted = d[1] + a.offset;
    const Bytes v[4] = {d[0] - d[2] + a.offset, shifted + d[2], d[2] - d[1] + a.offset, shifted - d[3]};
    for (size_t j = 0; j < 4; ++j) __builtin_memcpy(out + j * n + i, &v[j], 64);
  }
}

void winograd_input(const WinogradInput& a) {
  for (size_t pixel = 0; pixel < 2 * a.tiles + 2; ++pixel) {
    if (a.depth % 64 == 0)
      winograd_rows<64>(a, pixel, a.rows);
    else
      winograd_rows<16>(a, pixel, a.rows);
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

// Bytes that fit a register of every level.
constexpr size_t kRegister = 32;

// One step's levels of every tap, from fields of `Bits` bits at bit `shift`.
template <int Bits, typename Bytes>
inline void winograd_levels(const uint8_t* packed, int shift, Bytes (&g)[9]) {
  typedef uint16_t Words __attribute__((vector_size(kRegister)));
  constexpr uint8_t kMask = (1 << Bits) - 1, kOffset = 1 << (Bits - 1);
  for (size_t tap = 0; tap < 9; ++tap) {
    Words words;
    __builtin_memcpy(&words, packed + tap * 64, kRegister);
    g[tap] = ((Bytes)(words >> shift) & kMask) - kOffset;
  }
}

template <int Bits>
void winograd_expand(const uint8_t* packed, size_t steps, int8_t* weights) {
  typedef uint8_t Bytes __attribute__((vector_size(kRegister)));
  constexpr size_t kFields = 8 / Bits;
  for (size_t k = 0; k < steps; ++k)
    for (size_t c = 0; c < 64; c += kRegister) {
      Bytes g[9], half[3][4], u[4];
      winograd_levels<Bits>(packed + k / kFields * 9 * 64 + c, static_cast<int>(k % kFields) * Bits, g);
      for (size_t kw = 0; kw < 3; ++kw) winograd_combine(g[kw], g[3 + kw], g[6 + kw], half[kw]);
      for (size_t r = 0; r < 4; ++r) {
        winograd_combine(half[0][r], half[1][r], half[2][r], u);
        for (size_t j = 0; j < 4; ++j) __builtin_memcpy(weights + ((j * steps + k) * 4 + r) * 64 + c, &u[j], kRegister);
      }
    }
}

void winograd_weights(const uint8_t* packed, int bits, size_t steps, int8_t* weights) {
  if (bits == 2) return winograd_expand<2>(packed, steps, weights);
  if (bits == 4) return winograd_expand<4>(packed, steps, weights);
  winograd_expand<8>(packed, steps, weights);
}
