// AMX tiles: what the CPU has, and whether this process may use it (x86-64).
#pragma once

namespace kompakt {

struct TileFeatures {
  bool tile, int8;
};

// From CPUID and XGETBV.
TileFeatures tile_features();

// Whether the operating system lets this process use tiles; it is asked once, and only where the CPU has them.
bool may_use_tiles();

}  // namespace kompakt
