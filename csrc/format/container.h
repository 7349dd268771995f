// The outer layer of an artifact: the safetensors header and the sections behind it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kompakt {

// Bytes of the file, not owned.
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;

  std::string_view text() const { return {reinterpret_cast<const char*>(data), size}; }
};

enum SectionId : size_t { kManifest, kCodes, kBases, kFloats, kThresholds, kDirections, kSectionCount };

const char* section_name(SectionId id);
size_t section_item_bytes(SectionId id);

struct Container {
  std::array<Bytes, kSectionCount> sections;
};

// Splits a file; verifies header, offsets and the manifest's digest. Every byte of the file is in one section or in
// the header. Throws ArtifactError: truncated, size, header, version, section, digest.
Container read_container(const uint8_t* data, size_t size);

// Throws ArtifactError("digest") unless the section has the given SHA-256 (64 lower-case hexadecimal digits).
void check_digest(SectionId id, Bytes section, std::string_view expected);

}  // namespace kompakt
