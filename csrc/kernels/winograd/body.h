// Input transform of Winograd's F(2x2, 3x3), and its products in plain loops.
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
