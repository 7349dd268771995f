// Encodings of activations and weights: from the manifest and the sections to verified level tables.
#pragma once

#include <string>

#include "base/program.h"
#include "format/attributes.h"
#include "format/sections.h"

namespace kompakt {

// The activation encoding in `attributes`. Throws ArtifactError: node, encoding.
Encoding read_activation_encoding(Attributes attributes);

// The weight in `attributes` of the node `name`; takes its codes, then its bases, or its floats, from `sections`.
// `dimensions`: 4 for conv2d, 2 for linear. Throws ArtifactError: node, shape, size, section, encoding, value.
Weight read_weight(Attributes attributes, const std::string& name, size_t dimensions, Sections& sections);

// Largest magnitude of a level, over all codes.
uint64_t max_level(const Encoding& encoding);

// Whether some code has level 0.
bool has_level_zero(const Encoding& encoding);

// sum(|level|) over every output channel of a weight with codes, the largest of them.
struct ChannelSum {
  size_t channel = 0;
  uint64_t sum = 0;
};
ChannelSum largest_level_sum(const Weight& weight);

}  // namespace kompakt
