// Loops over a register tile must be unrolled early, or g++ keeps the accumulators in memory.
#pragma once

#define KOMPAKT_UNROLL _Pragma("GCC unroll 8")
