// Packed weight codes (docs/format.md, "Manifest"): b bits per code in one stream, or one stream of bits per plane.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/program.h"
#include "format/container.h"

namespace kompakt {

// Bytes that `count` codes (at most 2^31) take.
size_t packed_bytes(size_t count, const Encoding& encoding);

// `count` codes in `packed`, of packed_bytes(count, encoding) bytes.
// Throws ArtifactError("value") if a bit that no code uses is set.
PackedCodes read_codes(Bytes packed, size_t count, const Encoding& encoding, const std::string& where);

}  // namespace kompakt
