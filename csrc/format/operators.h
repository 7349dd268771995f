// Verification of one node: its attributes, the kinds and shapes of its inputs, and the type of its value.
#pragma once

#include <string_view>
#include <vector>

#include "base/program.h"
#include "format/attributes.h"
#include "format/sections.h"

namespace kompakt {

// Operator of that name. Throws ArtifactError("node") if there is none; `where` names the node.
Op op_of_name(std::string_view name, const std::string& where);

// Refuses a number or kind of inputs that `op` does not take. Throws ArtifactError("node").
void check_inputs(Op op, const std::vector<const ValueType*>& inputs, const std::string& where);

// Fills the attributes and the type of `node`, whose op, name and inputs are set. Takes what the node stores from
// `sections`; calls attributes.finish(). Throws ArtifactError.
void read_operator(Node& node, Attributes& attributes, const std::vector<const ValueType*>& inputs, Sections& sections);

// Dimensions at most 2^24 ("shape"). Returns the number of elements.
size_t check_value_shape(const std::vector<size_t>& shape, const std::string& where);

}  // namespace kompakt
