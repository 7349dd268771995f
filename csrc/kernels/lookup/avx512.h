// Look-ups by vpermi2b, which takes the low 7 bits of a byte: 64 rows at once, seven inputs each.
#pragma once

using LookupVector = __m512i;

constexpr int kLookupShift = 6;       // entries are sum % 64 and sum >> 6
constexpr size_t kLookupInputs = 7;   // of a byte
constexpr size_t kLookupParts = 1;    // look-ups of a byte
constexpr size_t kLookupTable = 256;  // bytes of tables for a byte: first bytes of all entries, then second ones
constexpr size_t kLookupPart = 64;    // bytes of a row whose tables, 16 KiB, stay in the first-level cache

struct LookupTable {
  __m512i low[2], high[2];
};

// Loads that g++ 12 does not repeat for every use, as it does where it takes that for cheap.
inline __m512i load_once(const uint8_t* at) {
  __m512i v = _mm512_loadu_si512(at);
  __asm__("" : "+v"(v));
  return v;
}
inline LookupTable load_table(const uint8_t* tables, size_t) {
  return {{load_once(tables), load_once(tables + 64)}, {load_once(tables + 128), load_once(tables + 192)}};
}
inline __m512i load_bytes(const uint8_t* at) { return load_once(at); }
inline __m512i part_of(__m512i bytes, size_t) { return bytes; }
inline __m512i look_up_low(const LookupTable& table, __m512i index) {
  return _mm512_permutex2var_epi8(table.low[0], index, table.low[1]);
}
inline __m512i look_up_high(const LookupTable& table, __m512i index) {
  return _mm512_permutex2var_epi8(table.high[0], index, table.high[1]);
}

inline void add_bytes(__m512i& sum, __m512i v) { __asm__("vpaddb %1, %0, %0" : "+v"(sum) : "v"(v)); }
inline void add_words(__m512i& sum, __m512i v) { __asm__("vpaddw %1, %0, %0" : "+v"(sum) : "v"(v)); }
inline __m512i odd_bytes(__m512i v) { return _mm512_srli_epi16(v, 8); }
inline __m512i even_words(__m512i all, __m512i odd) { return _mm512_sub_epi16(all, _mm512_slli_epi16(odd, 8)); }

// sums += low + 64 * high, of the 16-bit words at bit `shift` of every 32.
inline void add_words_of(__m512i low, __m512i high, int shift, int32_t* sums) {
  const __m512i lows = _mm512_dpwssd_epi32(_mm512_loadu_si512(sums), low, _mm512_set1_epi32(1 << shift));
  _mm512_storeu_si512(sums, _mm512_dpwssd_epi32(lows, high, _mm512_set1_epi32(1 << kLookupShift << shift)));
}

inline __m512i two_bytes(const uint8_t* at) {
  int16_t pair;
  std::memcpy(&pair, at, sizeof(pair));
  return _mm512_set1_epi16(pair);
}

// vpackuswb puts words of two vectors side by side in every lane of 128 bits: bit 3 of an index says which vector, and bits
// 4 and 5 which lane. Words are therefore sums of inputs 0, 1, 2, 4, 5; inputs 3 and 6 make further vectors.
void lookup_tables(const uint8_t* in, size_t bytes, uint8_t* tables) {
  alignas(64) int8_t patterns[3][64];  // which of two inputs an entry has
  for (int word = 0; word < 32; ++word) {
    const int bits = (word & 7) | word >> 3 << 4;
    for (int i = 0; i < 6; ++i) patterns[i / 2][2 * word + i % 2] = static_cast<int8_t>(bits >> i & 1);
  }
  const __m512i low_bits = _mm512_set1_epi16((1 << kLookupShift) - 1);
  for (; bytes > 0; --bytes, in += kLookupInputs, tables += kLookupTable) {
    __m512i words[4] = {_mm512_setzero_si512()};
    KOMPAKT_UNROLL
    for (int i = 0; i < 3; ++i)
      words[0] = _mm512_add_epi16(
          words[0], _mm512_maddubs_epi16(two_bytes(in + 2 * i), _mm512_load_si512(patterns[i])));
    words[1] = _mm512_add_epi16(words[0], _mm512_set1_epi16(in[3]));
    const __m512i last = _mm512_set1_epi16(in[6]);
    words[2] = _mm512_add_epi16(words[0], last);
    words[3] = _mm512_add_epi16(words[1], last);
    KOMPAKT_UNROLL
    for (int i = 0; i < 2; ++i) {
      const __m512i a = words[2 * i], b = words[2 * i + 1];
      _mm512_storeu_si512(tables + 64 * i,
                          _mm512_packus_epi16(_mm512_and_si512(a, low_bits), _mm512_and_si512(b, low_bits)));
      _mm512_storeu_si512(tables + 128 + 64 * i,
                          _mm512_packus_epi16(_mm512_srli_epi16(a, kLookupShift), _mm512_srli_epi16(b, kLookupShift)));
    }
  }
}
