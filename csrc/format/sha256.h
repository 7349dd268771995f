// SHA-256 (FIPS 180-4), for the digests of an artifact's sections.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace kompakt {

// Digest of data[0, size) as 64 lower-case hexadecimal digits.
std::string sha256_hex(const uint8_t* data, size_t size);

}  // namespace kompakt
