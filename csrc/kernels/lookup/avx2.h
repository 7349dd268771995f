// Look-ups by vpshufb: 32 rows at once, four inputs each, two of them to a byte.
#pragma once

using LookupVector = __m256i;

constexpr int kLookupShift = 6;      // entries are sum % 64 and sum >> 6
constexpr size_t kLookupInputs = 8;  // of a byte
constexpr size_t kLookupParts = 2;   // look-ups of a byte
constexpr size_t kLookupTable = 64;  // bytes of tables for a byte: first bytes of both, then second ones
constexpr size_t kLookupPart = 128;  // bytes of a row whose tables, 8 KiB, stay in the first-level cache

struct LookupTable {
  __m256i low, high;
};

inline __m256i twice(const uint8_t* at) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}
inline LookupTable load_table(const uint8_t* tables, size_t part) {
  return {twice(tables + 16 * part), twice(tables + 32 + 16 * part)};
}
inline __m256i load_bytes(const uint8_t* at) { return load_256(at); }
inline __m256i part_of(__m256i bytes, size_t part) {
  return _mm256_and_si256(part == 0 ? bytes : _mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
}
inline __m256i look_up_low(const LookupTable& table, __m256i index) { return _mm256_shuffle_epi8(table.low, index); }
inline __m256i look_up_high(const LookupTable& table, __m256i index) { return _mm256_shuffle_epi8(table.high, index); }

inline void add_bytes(__m256i& sum, __m256i v) { __asm__("vpaddb %1, %0, %0" : "+x"(sum) : "x"(v)); }
inline void add_words(__m256i& sum, __m256i v) { __asm__("vpaddw %1, %0, %0" : "+x"(sum) : "x"(v)); }
inline __m256i odd_bytes(__m256i v) { return _mm256_srli_epi16(v, 8); }
inline __m256i even_words(__m256i all, __m256i odd) { return _mm256_sub_epi16(all, _mm256_slli_epi16(odd, 8)); }

// sums += low + 64 * high, of the 16-bit words at bit `shift` of every 32.
inline void add_words_of(__m256i low, __m256i high, int shift, int32_t* sums) {
  auto* at = reinterpret_cast<__m256i*>(sums);
  const __m256i lows = _mm256_madd_epi16(low, _mm256_set1_epi32(1 << shift));
  const __m256i highs = _mm256_madd_epi16(high, _mm256_set1_epi32(1 << kLookupShift << shift));
  _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), _mm256_add_epi32(lows, highs)));
}

inline __m256i two_bytes(const uint8_t* at) {
  int16_t pair;
  std::memcpy(&pair, at, sizeof(pair));
  return _mm256_set1_epi16(pair);
}

void lookup_tables(const uint8_t* in, size_t bytes, uint8_t* tables) {
  alignas(32) int8_t first[32], second[32];  // which of two inputs an entry has
  for (int entry = 0; entry < 16; ++entry) {
    for (int i = 0; i < 2; ++i) {
      first[2 * entry + i] = static_cast<int8_t>(entry >> i & 1);
      second[2 * entry + i] = static_cast<int8_t>(entry >> (2 + i) & 1);
    }
  }
  const __m256i low_two = load_256(first), high_two = load_256(second);
  const auto four = [&](const uint8_t* at) {
    return _mm256_add_epi16(_mm256_maddubs_epi16(two_bytes(at), low_two),
                            _mm256_maddubs_epi16(two_bytes(at + 2), high_two));
  };
  const __m256i low_bits = _mm256_set1_epi16((1 << kLookupShift) - 1);
  for (; bytes > 0; --bytes, in += kLookupInputs, tables += kLookupTable) {
    const __m256i a = four(in), b = four(in + 4);
    const __m256i low = _mm256_packus_epi16(_mm256_and_si256(a, low_bits), _mm256_and_si256(b, low_bits));
    const __m256i high = _mm256_packus_epi16(_mm256_srli_epi16(a, kLookupShift), _mm256_srli_epi16(b, kLookupShift));
    auto* out = reinterpret_cast<__m256i*>(tables);
    _mm256_storeu_si256(out, _mm256_permute4x64_epi64(low, 0xd8));
    _mm256_storeu_si256(out + 1, _mm256_permute4x64_epi64(high, 0xd8));
  }
}
