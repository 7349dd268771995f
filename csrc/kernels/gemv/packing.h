// How codes of B bits lie in memory (GemvArgs).
#pragma once

template <int B>
struct Packing {
  static constexpr bool is_string = B >= 5 && B <= 7;
  static constexpr int vectors = is_string || B == 8 ? 1 : B == 3 ? 8 : 8 / B;
  static constexpr size_t bytes = is_string ? 8 * B : B == 3 ? 192 : 64;  // of a chunk of one row
};

// A quad's place in `weights`, and how many chunks it has.
template <int B>
inline size_t chunk_count(const GemvArgs& a) {
  return ((a.inputs + 63) / 64 + Packing<B>::vectors - 1) / Packing<B>::vectors;
}
template <int B>
inline const uint8_t* quad_weights(const GemvArgs& a, size_t quad) {
  return a.weights + quad * chunk_count<B>(a) * 4 * Packing<B>::bytes;
}
