// Sums of pixels' levels, from bit planes. The including file defines count_ones(word).
#pragma once

inline uint64_t load_word(const uint8_t* at) {
  uint64_t word;
  __builtin_memcpy(&word, at, sizeof word);
  return word;
}

// The last word of a pixel begins in it and is cut behind it.
void plane_sums(const uint8_t* bits, size_t pixels, size_t bytes, int32_t factor, int32_t* sums) {
  const size_t whole = (bytes - 1) / 8 * 8;
  const uint64_t mask = ~uint64_t{0} >> (64 - 8 * (bytes - whole));
  for (size_t p = 0; p < pixels; ++p, bits += bytes) {
    uint64_t ones = count_ones(load_word(bits + whole) & mask);
    for (size_t k = 0; k < whole; k += 8) ones += count_ones(load_word(bits + k));
    const uint32_t share = static_cast<uint32_t>(factor) * static_cast<uint32_t>(ones);
    sums[p] = static_cast<int32_t>(static_cast<uint32_t>(sums[p]) + share);
  }
}
