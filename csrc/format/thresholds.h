// The three operators that compare with thresholds: encode, recode and threshold. Each fills `codes` and its thresholds;
// node.type.encoding is set before. They throw ArtifactError: node, encoding, value, section.
#pragma once

#include "base/program.h"
#include "format/attributes.h"
#include "format/sections.h"

namespace kompakt {

void read_encode(Node& node, Attributes& attributes);
void read_recode(Node& node, Attributes& attributes);

// Takes (channels, 2^bits - 1) thresholds and (channels,) directions from `sections`.
void read_threshold(Node& node, Attributes& attributes, size_t channels, Sections& sections);

}  // namespace kompakt
