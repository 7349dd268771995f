#include "format/requantize.h"

#include "base/checked.h"
#include "format/encodings.h"
#include "format/limits.h"
#include "format/message.h"

namespace kompakt {
namespace {

void check_shifts(const std::vector<int8_t>& shifts, const char* name, const std::string& where) {
  for (const int8_t shift : shifts) {
    if (shift < 0 || shift > kMaxShift) {
      fail("value", where, ": ", name, ": expected shifts in 0..", kMaxShift, ", found ", int{shift});
    }
  }
}

void check_added(const ValueType& value, const ValueType& first, const std::string& where) {
  if (value.shape != first.shape) {
    fail("shape", where, ": expected equal shapes, found ", shape_text(first.shape), " and ", shape_text(value.shape));
  }
  if (value.kind == Kind::Code && value.encoding.kind != Encoding::Kind::Affine) {
    fail("encoding", where, ": expected affine codes to add, found others");
  }
}

uint64_t bound_of(const ValueType& value) {
  return value.kind == Kind::Acc ? value.bound : max_level(value.encoding);
}

// Bounds are below 2^31 and shifts at most 30, so sums of two stay below 2^63.
void check_sums(const Node& node, const std::vector<const ValueType*>& inputs, const std::string& where) {
  const size_t channels = node.bias.size();
  for (size_t c = 0; c < channels; ++c) {
    const int64_t bias = node.bias[c];
    uint64_t reach = static_cast<uint64_t>(bias < 0 ? -bias : bias) + ((uint64_t{1} << node.right[c]) >> 1);
    for (size_t i = 0; i < inputs.size(); ++i) reach += bound_of(*inputs[i]) << node.left[i * channels + c];
    if (reach >= kAccumulatorLimit) {
      fail("overflow_risk", where, ": expected sums below 2^31, found that channel ", c, " can reach ", reach,
           "; shift left by less");
    }
  }
}

}  // namespace

void read_requantize(Node& node, Attributes& attributes, const std::vector<const ValueType*>& inputs,
                     Sections& sections) {
  const std::string& where = attributes.where();
  const ValueType& first = *inputs[0];
  const size_t channels = first.shape[0];
  node.bias = sections.take_thresholds(channels, where);
  node.left = sections.take_directions(checked_mul(inputs.size(), channels, "shifts"), where);
  node.right = sections.take_directions(channels, where);
  if (node.type.encoding.kind != Encoding::Kind::Affine) {
    fail("encoding", where, ": expected an affine encoding, found another");
  }
  const Encoding& encoding = node.type.encoding;
  const int64_t highest = (int64_t{1} << (encoding.bits - (encoding.is_signed ? 1 : 0))) - 1;
  const int64_t lowest = encoding.is_signed ? -highest - 1 : 0;
  node.top = static_cast<int32_t>(attributes.integer_or("top", highest, lowest + 1, highest, "value"));
  if (first.kind != Kind::Acc) fail("node", where, ": expected sums as the first input, found codes");
  for (size_t i = 1; i < inputs.size(); ++i) check_added(*inputs[i], first, where);
  check_shifts(node.left, "left", where);
  check_shifts(node.right, "right", where);
  check_sums(node, inputs, where);
}

}  // namespace kompakt
