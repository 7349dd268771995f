// The only way from bytes to a Program.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/program.h"

namespace kompakt {

// Reads and verifies a whole `model.kpt` (docs/format.md) held in memory.
//
// Throws ArtifactError with the kind of the first defect found, or std::bad_alloc; nothing else, whatever the bytes.
// Memory: a small multiple of `size`; declared sizes are compared with the bytes that are there before anything is
// allocated. The result refers to nothing in `data`.
Program read_program(const uint8_t* data, size_t size);

}  // namespace kompakt
