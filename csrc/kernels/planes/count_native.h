// Bits of a word with the popcnt instruction, which every level above portable has.
#pragma once

inline uint64_t count_ones(uint64_t x) { return static_cast<uint64_t>(__builtin_popcountll(x)); }
