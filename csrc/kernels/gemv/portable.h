// Products with packed weights in plain loops: 64 codes of a row become levels, which serve all images.
#pragma once

// Widest codes that are expanded, besides 8.
constexpr int kGemvBits = 7;

// Code j of a vector of a chunk.
template <int B>
inline int code_at(const uint8_t* chunk, int vector, int j) {
  if constexpr (Packing<B>::is_string) {
    const int bit = j * B;
    const int pair = chunk[bit / 8] | (bit % 8 + B > 8 ? chunk[bit / 8 + 1] << 8 : 0);
    return pair >> bit % 8 & ((1 << B) - 1);
  } else if constexpr (B == 3) {
    if (vector < 6) return chunk[vector / 2 * 64 + j] >> vector % 2 * 3 & 7;
    return chunk[(vector - 6) * 64 + j] >> 6 | (chunk[128 + j] >> (vector - 2) & 4);
  } else {
    return chunk[j] >> vector * B & ((1 << B) - 1);
  }
}

// Whether levels are base + step * code, which loops compute faster than they look it up.
inline bool is_uniform(const int8_t* table, int codes) {
  for (int i = 2; i < codes; ++i)
    if (table[i] - table[i - 1] != table[1] - table[0]) return false;
  return true;
}

template <int B>
inline void expand(const uint8_t* chunk, int vector, const int8_t* table, bool uniform, int16_t* level) {
  if (B == 8) {
    for (int j = 0; j < 64; ++j) level[j] = static_cast<int8_t>(chunk[j]);
  } else if (uniform) {
    const int base = table[0], step = table[1] - table[0];
    for (int j = 0; j < 64; ++j) level[j] = static_cast<int16_t>(base + step * code_at<B>(chunk, vector, j));
  } else {
    for (int j = 0; j < 64; ++j) level[j] = table[code_at<B>(chunk, vector, j)];
  }
}

inline uint32_t products(const uint8_t* x, const int16_t* level, size_t n) {
  int32_t sum = 0;  // 64 products of at most 255 * 128
  for (size_t j = 0; j < n; ++j) sum += static_cast<int16_t>(x[j]) * level[j];
  return static_cast<uint32_t>(sum);
}

template <int B>
void gemv_row(const GemvArgs& a, size_t row) {
  const uint8_t* chunk = quad_weights<B>(a, row / 4) + row % 4 * Packing<B>::bytes;
  const int8_t* table = a.tables + row * a.table_pitch;
  const bool uniform = B < 8 && is_uniform(table, 1 << B);
  for (size_t p = 0; p < a.images; ++p) a.out[p * a.pitch + row] = a.bias[row];
  for (size_t at = 0; at < a.inputs; at += 64) {
    const int vector = static_cast<int>(at / 64 % Packing<B>::vectors);
    if (at > 0 && vector == 0) chunk += 4 * Packing<B>::bytes;
    int16_t level[64];
    expand<B>(chunk, vector, table, uniform, level);
    const size_t n = a.inputs - at < 64 ? a.inputs - at : 64;
    for (size_t p = 0; p < a.images; ++p) {
      int32_t& out = a.out[p * a.pitch + row];
      out = static_cast<int32_t>(static_cast<uint32_t>(out) + products(a.in + p * a.in_pitch + at, level, n));
    }
  }
}

template <int B>
void gemv_bits(const GemvArgs& a) {
  for (size_t row = 0; row < 4 * a.quads; ++row) gemv_row<B>(a, row);
}
