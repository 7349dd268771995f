// Loops over a register tile must be unrolled early, or g++ keeps the accumulators in memory.
#pragma once

#define KOMPAKT_UNROLL _Pragma("GCC unroll 16")

// Parts of a register tile must be inlined, or everything they refer to lives in memory.
#define KOMPAKT_INLINE __attribute__((always_inline))
