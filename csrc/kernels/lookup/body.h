// Sums of the inputs that a row's bits select (LookupArgs): a few bits of a row are an index into a table of all sums of
// as many inputs, and one instruction looks up many rows.
//
// Entries have two bytes, sum % 64 and sum / 64, looked up apart. Sums of kLowRun first bytes and of kHighRun second ones
// fit a byte; they are then added to two vectors of 16-bit words: as they are, modulo 2^16, where the odd bytes count
// 256 times, and the odd bytes alone. The even bytes' share is what is left without the odd ones'.
#pragma once

constexpr size_t kLowRun = 4;            // look-ups: 4 * 63 <= 255
constexpr size_t kLookupStep = 8;        // bytes of a row
constexpr size_t kHighRun = kLookupStep * kLookupParts;  // look-ups
constexpr size_t kMostInputs = kLookupInputs / kLookupParts;  // of a look-up
static_assert((kMostInputs * 255 >> kLookupShift) * kHighRun <= 255, "sums of second bytes must fit a byte");
static_assert(kLookupPart * kLookupParts * 63 <= 32767, "sums of a part must fit 16 bits with a sign");
static_assert(kLookupPart % kLookupStep == 0, "parts are whole steps");

// Vectors of rows that share the tables' loads.
constexpr size_t kLookupVectors = 2;
constexpr size_t kVectorRows = sizeof(LookupVector);
constexpr size_t kLookupRows = kLookupVectors * kVectorRows;

struct WordSums {
  LookupVector all, odd;
};

KOMPAKT_INLINE inline void add_to_words(WordSums& words, LookupVector bytes) {
  add_words(words.all, bytes);
  add_words(words.odd, odd_bytes(bytes));
}

// Adds both bytes' sums to a vector's. Words 2 i and 2 i + 1 of even bytes are lane i of its quarters 0 and 2, those of odd
// bytes of quarters 1 and 3.
KOMPAKT_INLINE inline void add_to_sums(const WordSums& low, const WordSums& high, int32_t* sums) {
  constexpr size_t lanes = kVectorRows / 4;
  const LookupVector low_even = even_words(low.all, low.odd), high_even = even_words(high.all, high.odd);
  add_words_of(low_even, high_even, 0, sums);
  add_words_of(low.odd, high.odd, 0, sums + lanes);
  add_words_of(low_even, high_even, 16, sums + 2 * lanes);
  add_words_of(low.odd, high.odd, 16, sums + 3 * lanes);
}

// Look-ups of one byte of every row, number I of a step.
KOMPAKT_INLINE inline void look_up_byte(const uint8_t* tables, const uint8_t* weights, size_t number,
                                        LookupVector (&low)[kLookupVectors], LookupVector (&high)[kLookupVectors]) {
  KOMPAKT_UNROLL
  for (size_t part = 0; part < kLookupParts; ++part) {
    const LookupTable table = load_table(tables, part);
    KOMPAKT_UNROLL
    for (size_t v = 0; v < kLookupVectors; ++v) {
      const LookupVector index = part_of(load_bytes(weights + v * kVectorRows), part);
      const bool is_first = (number * kLookupParts + part) % kLowRun == 0;
      if (is_first)
        low[v] = look_up_low(table, index);
      else
        add_bytes(low[v], look_up_low(table, index));
      if (number == 0 && part == 0)
        high[v] = look_up_high(table, index);
      else
        add_bytes(high[v], look_up_high(table, index));
    }
  }
}

// One block of rows.
inline void look_up_rows(const uint8_t* tables, const uint8_t* weights, size_t bytes, int32_t* sums) {
  WordSums lows[kLookupVectors], highs[kLookupVectors];
  KOMPAKT_UNROLL
  for (size_t v = 0; v < kLookupVectors; ++v) lows[v].all = lows[v].odd = highs[v].all = highs[v].odd = LookupVector{};
  for (size_t done = 0; done < bytes; done += kLookupStep) {
    LookupVector low[kLookupVectors], high[kLookupVectors];
    KOMPAKT_UNROLL
    for (size_t i = 0; i < kLookupStep; ++i, tables += kLookupTable, weights += kLookupRows) {
      look_up_byte(tables, weights, i, low, high);
      if ((i + 1) * kLookupParts % kLowRun != 0) continue;
      KOMPAKT_UNROLL
      for (size_t v = 0; v < kLookupVectors; ++v) add_to_words(lows[v], low[v]);
    }
    KOMPAKT_UNROLL
    for (size_t v = 0; v < kLookupVectors; ++v) add_to_words(highs[v], high[v]);
  }
  KOMPAKT_UNROLL
  for (size_t v = 0; v < kLookupVectors; ++v) add_to_sums(lows[v], highs[v], sums + v * kVectorRows);
}

void lookup(const LookupArgs& a) {
  for (size_t b = 0; b < a.blocks; ++b)
    look_up_rows(a.tables, a.weights + b * a.bytes * kLookupRows, a.bytes, a.sums + b * kLookupRows);
}

void lookup_sums(const LookupSums& a) {
  for (size_t c = 0; c < a.count; c += a.rows) {
    const size_t lanes = a.count - c < a.rows ? a.count - c : a.rows;
    const auto total = static_cast<uint32_t>(a.total);
    uint32_t out[kLookupRows];
    for (size_t i = 0; i < lanes; ++i)
      out[i] = static_cast<uint32_t>(a.bias[c + i]) + static_cast<uint32_t>(a.constants[c + i]) * total;
    for (size_t plane = 0; plane < a.planes; ++plane) {
      const size_t at = c * a.planes + plane * a.rows;
      for (size_t i = 0; i < lanes; ++i)
        out[i] += static_cast<uint32_t>(a.factors[at + i]) * static_cast<uint32_t>(a.sums[at + i]);
    }
    std::memcpy(a.out + c, out, lanes * sizeof(int32_t));
  }
}
