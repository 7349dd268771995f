// Checks that operators share. They throw ArtifactError; `where` names the node.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/program.h"
#include "format/attributes.h"

namespace kompakt {

using Types = std::vector<const ValueType*>;

const char* kind_name(Kind kind);

// Refuses what is not (C, H, W) ("shape").
void need_map(const ValueType& input, const std::string& where);

// The largest magnitude of a sum of levels of `input`, times weights of `level_sum` together; below 2^31
// ("overflow_risk"). `what` names the sum.
uint64_t checked_bound(uint64_t level_sum, const ValueType& input, const std::string& where, const std::string& what);

// Type of the sums of conv2d and linear; proves that integer sums stay in int32 ("overflow_risk", "node").
ValueType sums_of(const Weight& weight, const ValueType& input, std::vector<size_t> shape, const std::string& where);

// A positive normal float ("value").
float read_scale(Attributes& attributes, std::string_view key);

// `inv_step`, for the affine encoding that node.type has ("encoding").
void read_quantize(Node& node, Attributes& attributes);

}  // namespace kompakt
