// AMX tiles as functions. A tile is a register of up to 16 rows of up to 64 bytes.
//
// Written as assembly: g++ 12's own intrinsics tell the compiler neither which memory a load reads nor more than the
// first 8 bytes of a configuration, so that it drops stores to both.
#pragma once

// What ldtilecfg reads: rows and bytes per row of every tile, of palette 1.
struct TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64, "the size that ldtilecfg reads");

inline void configure_tiles(const TileConfig& config) { __asm__ volatile("ldtilecfg %0" : : "m"(config)); }

// Back to the initial state, in which a context switch has no tiles to save.
inline void release_tiles() { __asm__ volatile("tilerelease"); }

// Row r is read from `at` + r * stride bytes.
template <int T>
inline void load_tile(const void* at, size_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(at), "r"(stride), "i"(T) : "memory");
}

template <int T>
inline void store_tile(void* at, size_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(at), "r"(stride), "i"(T) : "memory");
}

// Sums[r][c] += sum over taps t and bytes j of X[r][4 t + j] (unsigned) * W[t][4 c + j] (signed), modulo 2^32.
template <int Sums, int X, int W>
inline void multiply_tiles() {
  __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(X), "i"(W));
}
