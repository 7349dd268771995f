// Dot products for AVX2.
//
// u8 x s8: vpmaddubsw adds two products into 16 bits and saturates, so it is legal only where the caller proved
// 2 * max(operand) * max(|weight|) <= 32767, that is flush >= 1. Small products (low-bit codes) leave room for many
// sums: with flush >= 8, or for all taps, they stay in 16 bits before they are widened.
// s16 x s16: vpmaddwd adds two products into 32 bits: 2 * 255 * 127 fits.
#pragma once

inline __m256i load_256(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }

inline __m256i broadcast_group(const void* at) {
  int32_t group;
  __builtin_memcpy(&group, at, sizeof group);
  return _mm256_set1_epi32(group);
}

inline void store_256(int32_t* at, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), v); }

inline __m256i products(__m256i x, __m256i w, const int8_t*) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), _mm256_set1_epi16(1));
}
inline __m256i products(__m256i x, __m256i w, const int16_t*) { return _mm256_madd_epi16(x, w); }

// Additions in place, written as assembly because g++ 12 copies accumulators that live in arrays.
inline void add_narrow(__m256i& sum, __m256i v) { __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(v)); }
inline void add_wide(__m256i& sum, __m256i v) { __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(v)); }

template <int P, typename Operand, typename Weight>
inline void store_tile(const DotArgs<Operand, Weight>& a, const __m256i (&low)[P], const __m256i (&high)[P],
                       size_t block, size_t pixel) {
  if (a.codes != nullptr) return store_codes<P>(*a.codes, low, high, block, pixel);
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    int32_t* out = a.out + (pixel + p) * a.pitch + block * kLanes;
    store_256(out, low[p]);
    store_256(out + 8, high[p]);
  }
}

// 32-bit sums in registers: P pixels x one block (two vectors).
template <int P, typename Operand, typename Weight>
void dot_tile(const DotArgs<Operand, Weight>& a, size_t block, size_t pixel) {
  constexpr size_t group = 4 / sizeof(Operand);
  const Weight* w = a.weights + block * a.tap_count * kLanes * group;
  const Operand* window[P];
  __m256i low[P], high[P];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    window[p] = a.in + a.pixels[pixel + p];
    low[p] = load_256(a.bias + block * kLanes);
    high[p] = load_256(a.bias + block * kLanes + 8);
  }
  for (size_t k = 0; k < a.tap_count; ++k, w += kLanes * group) {
    const __m256i w_low = load_256(w);
    const __m256i w_high = load_256(w + 8 * group);
    const size_t tap = a.taps[k];
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      const __m256i x = broadcast_group(window[p] + tap);
      add_wide(low[p], products(x, w_low, w));
      add_wide(high[p], products(x, w_high, w));
    }
  }
  store_tile<P>(a, low, high, block, pixel);
}

// 16-bit sums in registers for `flush` taps at a time.
template <int P>
void dot_tile_narrow(const DotU8& a, size_t block, size_t pixel) {
  const __m256i ones = _mm256_set1_epi16(1);
  const int8_t* w = a.weights + block * a.tap_count * kLanes * 4;
  const uint8_t* window[P];
  __m256i wide_low[P], wide_high[P];
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    window[p] = a.in + a.pixels[pixel + p];
    wide_low[p] = load_256(a.bias + block * kLanes);
    wide_high[p] = load_256(a.bias + block * kLanes + 8);
  }
  for (size_t first = 0; first < a.tap_count; first += a.flush) {
    const size_t end = a.tap_count - first < a.flush ? a.tap_count : first + a.flush;
    __m256i low[P], high[P];
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) low[p] = high[p] = _mm256_setzero_si256();
    for (size_t k = first; k < end; ++k, w += kLanes * 4) {
      const __m256i w_low = load_256(w);
      const __m256i w_high = load_256(w + 32);
      const size_t tap = a.taps[k];
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) {
        const __m256i x = broadcast_group(window[p] + tap);
        add_narrow(low[p], _mm256_maddubs_epi16(x, w_low));
        add_narrow(high[p], _mm256_maddubs_epi16(x, w_high));
      }
    }
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p) {
      wide_low[p] = _mm256_add_epi32(wide_low[p], _mm256_madd_epi16(low[p], ones));
      wide_high[p] = _mm256_add_epi32(wide_high[p], _mm256_madd_epi16(high[p], ones));
    }
  }
  store_tile<P>(a, wide_low, wide_high, block, pixel);
}

struct WideTile {
  static constexpr size_t kMostPixels = 6;
  template <int P, typename Args>
  static void run(const Args& a, size_t block, size_t pixel) { dot_tile<P>(a, block, pixel); }
};

struct NarrowTile {
  static constexpr size_t kMostPixels = 4;
  template <int P, typename Args>
  static void run(const Args& a, size_t block, size_t pixel) { dot_tile_narrow<P>(a, block, pixel); }
};

template <typename Tile, typename Args>
void dot_pixels(const Args& a, size_t block, size_t pixel, size_t count) {
  switch (count) {
    case 1: return Tile::template run<1>(a, block, pixel);
    case 2: return Tile::template run<2>(a, block, pixel);
    case 3: return Tile::template run<3>(a, block, pixel);
    case 4: return Tile::template run<4>(a, block, pixel);
    case 5: return Tile::template run<Tile::kMostPixels < 5 ? 1 : 5>(a, block, pixel);
    default: return Tile::template run<Tile::kMostPixels < 6 ? 1 : 6>(a, block, pixel);
  }
}

// Pixels in tiles of about the same size: single pixels left behind large tiles would be slow.
template <typename Tile, typename Args>
void dot_blocks(const Args& a) {
  const size_t tiles = (a.pixel_count + Tile::kMostPixels - 1) / Tile::kMostPixels;
  for (size_t b = 0; b < a.block_count; ++b)
    for (size_t t = 0, p = 0, end; t < tiles; ++t, p = end) {
      end = a.pixel_count * (t + 1) / tiles;
      dot_pixels<Tile>(a, b, p, end - p);
    }
}

void dot_s16(const DotS16& a) { dot_blocks<WideTile>(a); }

void dot_u8(const DotU8& a) {
  if (a.flush < 8 && a.flush < a.tap_count) return dot_blocks<WideTile>(a);
  dot_blocks<NarrowTile>(a);
}
