#include "format/checks.h"

#include <limits>
#include <utility>

#include "format/encodings.h"
#include "format/limits.h"
#include "format/message.h"

namespace kompakt {

const char* kind_name(Kind kind) { return kind == Kind::F32 ? "f32" : kind == Kind::Acc ? "acc" : "code"; }

void need_map(const ValueType& input, const std::string& where) {
  if (input.shape.size() != 3) {
    fail("shape", where, ": expected an input (C, H, W), found ", shape_text(input.shape));
  }
}

uint64_t checked_bound(uint64_t level_sum, const ValueType& input, const std::string& where, const std::string& what) {
  const uint64_t bound = level_sum * max_level(input.encoding);
  if (bound >= kAccumulatorLimit) {
    fail("overflow_risk", where, ": expected sums below 2^31, found that ", what, " can reach ", bound,
         "; use fewer bits or smaller levels");
  }
  return bound;
}

ValueType sums_of(const Weight& weight, const ValueType& input, std::vector<size_t> shape, const std::string& where) {
  if (input.kind == Kind::F32) return {Kind::F32, std::move(shape), {}};
  if (weight.is_float) fail("node", where, ": expected an f32 input with a float weight, found code");
  const ChannelSum largest = largest_level_sum(weight);
  const uint64_t bound = checked_bound(largest.sum, input, where, text_of("channel ", largest.channel));
  return {Kind::Acc, std::move(shape), {}, bound};
}

float read_scale(Attributes& attributes, std::string_view key) {
  const float scale = attributes.float32(key);
  if (scale < std::numeric_limits<float>::min()) {
    fail("value", attributes.where(), ": ", key, ": expected a positive normal float32, found ", scale);
  }
  return scale;
}

void read_quantize(Node& node, Attributes& attributes) {
  node.inv_step = read_scale(attributes, "inv_step");
  if (node.type.encoding.kind != Encoding::Kind::Affine) {
    fail("encoding", attributes.where(), ": expected an affine encoding, found another; use encode for it");
  }
}

}  // namespace kompakt
