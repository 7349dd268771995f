// Bit planes without an instruction that counts bits: four inputs of 32 channels per look-up. The operands' four bits
// choose a table, whose entry for four weights is the number of ones they have in common (vpshufb). Counters of a byte
// hold 63 of them.
#pragma once

constexpr size_t kByteSteps = 63;     // 63 * 4 ones fit a byte
constexpr size_t kWordSteps = 16380;  // so do 65520 ones 16 bits

// (16, 16): ones of x & w.
struct CommonOnes {
  alignas(64) uint8_t count[256];

  CommonOnes() {
    for (unsigned x = 0; x < 16; ++x)
      for (unsigned w = 0; w < 16; ++w) count[16 * x + w] = static_cast<uint8_t>(__builtin_popcount(x & w));
  }
};

// Weights of one step of two blocks, `stride` bytes apart.
inline __m256i load_blocks(const uint8_t* low, size_t stride) {
  return _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(low + stride), reinterpret_cast<const __m128i*>(low));
}

// 16 channels of each half: even and odd ones apart.
struct WordCounts {
  __m256i even, odd;

  void add(__m256i bytes) {
    even = _mm256_add_epi16(even, _mm256_and_si256(bytes, _mm256_set1_epi16(0xff)));
    odd = _mm256_add_epi16(odd, _mm256_srli_epi16(bytes, 8));
  }
};

// Counts of one pair of planes, steps [first, end), for P pixels x V pairs of blocks from `w` on, `stride` bytes apart.
template <int P, int V>
KOMPAKT_INLINE inline void count_steps(const PlanesArgs& a, const uint8_t* w, size_t stride,
                                       const uint8_t* const (&window)[P], size_t first, size_t end,
                                       WordCounts (&counts)[P][V]) {
  static const CommonOnes ones;
  w += first * kLanes;
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p)
    KOMPAKT_UNROLL
    for (int v = 0; v < V; ++v) counts[p][v].even = counts[p][v].odd = _mm256_setzero_si256();
  for (size_t k = first; k < end;) {
    const size_t stop = end - k < kByteSteps ? end : k + kByteSteps;
    __m256i bytes[P][V];
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p)
      KOMPAKT_UNROLL
      for (int v = 0; v < V; ++v) bytes[p][v] = _mm256_setzero_si256();
    for (; k < stop; ++k, w += kLanes) {
      __m256i weights[V];
      KOMPAKT_UNROLL
      for (int v = 0; v < V; ++v) weights[v] = load_blocks(w + 2 * v * stride, stride);
      const size_t tap = a.taps[k];
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) {
        const uint8_t* row = ones.count + window[p][tap];
        const __m256i table = _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(row)));
        KOMPAKT_UNROLL
        for (int v = 0; v < V; ++v) add_bytes(bytes[p][v], _mm256_shuffle_epi8(table, weights[v]));
      }
    }
    KOMPAKT_UNROLL
    for (int p = 0; p < P; ++p)
      KOMPAKT_UNROLL
      for (int v = 0; v < V; ++v) counts[p][v].add(bytes[p][v]);
  }
}

// Counts of 8 channels: a quarter of the 32, in order.
template <int Quarter>
inline __m256i counts_of(const WordCounts& counts) {
  constexpr int half = Quarter / 2;
  const __m128i even = _mm256_extracti128_si256(counts.even, half), odd = _mm256_extracti128_si256(counts.odd, half);
  return _mm256_cvtepu16_epi32(Quarter % 2 == 0 ? _mm_unpacklo_epi16(even, odd) : _mm_unpackhi_epi16(even, odd));
}

// Adds the counts of 8 channels from `lane` on, times the factors of a pair of planes, to the sums of P pixels; to what
// does not depend on planes, if they are the first.
template <int P, int V, int Quarter>
inline void add_counts(const PlanesArgs& a, const WordCounts (&counts)[P][V], size_t v, const int32_t* weight_factor,
                       int32_t operand_factor, bool is_first, size_t lane, size_t pixel) {
  const __m256i factor = _mm256_mullo_epi32(load_256(weight_factor), _mm256_set1_epi32(operand_factor));
  const __m256i window_factor = load_256(a.window_factor + lane);
  KOMPAKT_UNROLL
  for (int p = 0; p < P; ++p) {
    int32_t* out = a.out + (pixel + p) * a.pitch + lane;
    const __m256i product = _mm256_mullo_epi32(counts_of<Quarter>(counts[p][v]), factor);
    __m256i sum;
    if (is_first)
      sum = _mm256_add_epi32(load_256(a.bias + a.bias_rows[pixel + p] + lane),
                             _mm256_mullo_epi32(window_factor, _mm256_set1_epi32(a.sums[pixel + p])));
    else
      sum = load_256(out);
    store_256(out, _mm256_add_epi32(sum, product));
  }
}

// P pixels x `blocks` blocks, 2 V of them or one less.
template <int P, int V>
void planes_tile(const PlanesArgs& a, size_t block, size_t blocks, size_t pixel) {
  const size_t plane_size = a.steps * kLanes;
  bool is_first = true;
  for (size_t i = 0; i < a.weight_planes; ++i) {
    const uint8_t* w = a.weights + (block * a.weight_planes + i) * plane_size;
    for (size_t j = 0; j < a.operand_planes; ++j) {
      const uint8_t* window[P];
      KOMPAKT_UNROLL
      for (int p = 0; p < P; ++p) window[p] = a.in + j * a.plane_bytes + a.pixels[pixel + p];
      for (size_t first = 0; first < a.steps; first += kWordSteps) {
        WordCounts counts[P][V];
        const size_t end = a.steps - first < kWordSteps ? a.steps : first + kWordSteps;
        count_steps<P, V>(a, w, a.weight_planes * plane_size, window, first, end, counts);
        for (size_t b = 0; b < blocks; ++b) {
          const int32_t* factor = a.weight_factor + ((block + b) * a.weight_planes + i) * kLanes;
          const size_t lane = (block + b) * kLanes;
          if (b % 2 == 0) {
            add_counts<P, V, 0>(a, counts, b / 2, factor, a.operand_factor[j], is_first, lane, pixel);
            add_counts<P, V, 1>(a, counts, b / 2, factor + 8, a.operand_factor[j], is_first, lane + 8, pixel);
          } else {
            add_counts<P, V, 2>(a, counts, b / 2, factor, a.operand_factor[j], is_first, lane, pixel);
            add_counts<P, V, 3>(a, counts, b / 2, factor + 8, a.operand_factor[j], is_first, lane + 8, pixel);
          }
        }
        is_first = false;
      }
    }
  }
}

template <int V>
void planes_pixels(const PlanesArgs& a, size_t block, size_t blocks, size_t pixel, size_t count) {
  switch (count) {
    case 1: return planes_tile<1, V>(a, block, blocks, pixel);
    case 2: return planes_tile<2, V>(a, block, blocks, pixel);
    case 3: return planes_tile<3, V>(a, block, blocks, pixel);
    case 4: return planes_tile<4, V>(a, block, blocks, pixel);
    default: return planes_tile<5, V>(a, block, blocks, pixel);
  }
}

void planes(const PlanesArgs& a) {
  constexpr size_t most_pixels = 5;
  const size_t tiles = (a.pixel_count + most_pixels - 1) / most_pixels;
  for (size_t b = 0, blocks; b < a.block_count; b += blocks) {
    blocks = a.block_count - b < 4 ? a.block_count - b : 4;
    for (size_t t = 0, p = 0, end; t < tiles; ++t, p = end) {
      end = a.pixel_count * (t + 1) / tiles;
      if (blocks > 2)
        planes_pixels<2>(a, b, blocks, p, end - p);
      else
        planes_pixels<1>(a, b, blocks, p, end - p);
    }
  }
}
