// The operator that aligns sums by shifts, adds them and rounds them to codes, in integers alone.
#pragma once

#include <vector>

#include "base/program.h"
#include "format/attributes.h"
#include "format/sections.h"

namespace kompakt {

// Fills bias, left and right, and proves that the sum of the aligned inputs fits int32; node.type is set before.
// Throws ArtifactError: node, encoding, shape, value, overflow_risk, section.
void read_requantize(Node& node, Attributes& attributes, const std::vector<const ValueType*>& inputs,
                     Sections& sections);

}  // namespace kompakt
