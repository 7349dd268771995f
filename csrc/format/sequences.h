// The operators of sequences: embedding, lstm and gru, attention. Each fills the attributes and the type of its node.
// They throw ArtifactError: node, shape, encoding, value, section, overflow_risk.
#pragma once

#include "format/checks.h"
#include "format/sections.h"

namespace kompakt {

void read_embedding(Node& node, Attributes& attributes, const ValueType& input, Sections& sections);
void read_recurrent(Node& node, Attributes& attributes, const ValueType& input, Sections& sections);
void read_attention(Node& node, Attributes& attributes, const Types& inputs);

}  // namespace kompakt
