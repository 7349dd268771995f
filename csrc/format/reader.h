// The only way from bytes to a Program.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/program.h"

namespace kompakt {

// Reads and verifies a whole `model.kpt` (docs/format.md) held in memory.
//
// Throws ArtifactError with the kind of the first defect found, or std::bad_alloc; nothing else, whatever the bytes.
// Memory: declared sizes are compared with the bytes that are there before anything is allocated, so that the cost is
// bounded by `size`: far below it for usual files, 10 times for embeddings of bits (a code takes a byte), 64 times for
// the worst (tables of 8-bit planes with one weight per channel); of several bit-widths, as much for each. Weight codes of
// the result lie in `data`.
Program read_program(const uint8_t* data, size_t size);

}  // namespace kompakt
