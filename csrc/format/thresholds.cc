#include "format/thresholds.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

#include "base/checked.h"
#include "format/message.h"

namespace kompakt {
namespace {

// A permutation of 0 .. 2^bits - 1; the identity where absent, and then never written.
std::vector<uint8_t> read_codes(const Encoding& encoding, Attributes& attributes) {
  std::vector<uint8_t> identity(encoding.codes());
  std::iota(identity.begin(), identity.end(), uint8_t{0});
  if (!attributes.find("codes")) return identity;
  const auto numbers = attributes.integers("codes", 0, 255, "value");
  std::vector<uint8_t> codes(numbers.begin(), numbers.end());
  if (codes == identity) attributes.refuse_default("codes");
  std::vector<uint8_t> sorted = codes;
  std::sort(sorted.begin(), sorted.end());
  if (sorted != identity) {
    fail("value", attributes.where(), ": codes: expected a permutation of 0..", encoding.codes() - 1,
         ", found repeated, missing or other numbers");
  }
  return codes;
}

void check_count(size_t found, const Encoding& encoding, const Attributes& attributes) {
  if (found != encoding.codes() - 1) {
    fail("encoding", attributes.where(), ": thresholds: expected ", encoding.codes() - 1, " for ", encoding.bits,
         " bits, found ", found);
  }
}

}  // namespace

void read_encode(Node& node, Attributes& attributes) {
  node.codes = read_codes(node.type.encoding, attributes);
  node.float_thresholds = attributes.float32s("thresholds");
  const auto& steps = node.float_thresholds;
  check_count(steps.size(), node.type.encoding, attributes);
  if (std::adjacent_find(steps.begin(), steps.end(), [](float a, float b) { return a >= b; }) != steps.end()) {
    fail("value", attributes.where(), ": thresholds: expected strictly ascending numbers, found others");
  }
}

void read_recode(Node& node, Attributes& attributes) {
  node.codes = read_codes(node.type.encoding, attributes);
  const auto steps = attributes.integers("thresholds", std::numeric_limits<int32_t>::min(),
                                         std::numeric_limits<int32_t>::max(), "value");
  check_count(steps.size(), node.type.encoding, attributes);
  if (!std::is_sorted(steps.begin(), steps.end())) {
    fail("value", attributes.where(), ": thresholds: expected non-descending numbers, found others");
  }
  node.thresholds.assign(steps.begin(), steps.end());
}

void read_threshold(Node& node, Attributes& attributes, size_t channels, Sections& sections) {
  const std::string& where = attributes.where();
  const size_t steps = node.type.encoding.codes() - 1;
  node.codes = read_codes(node.type.encoding, attributes);
  node.thresholds = sections.take_thresholds(checked_mul(channels, steps, "thresholds"), where);
  node.directions = sections.take_directions(channels, where);
  for (size_t channel = 0; channel < channels; ++channel) {
    const int direction = node.directions[channel];
    if (direction != 1 && direction != -1) {
      fail("value", where, ": directions: expected +1 or -1, found ", direction, " in channel ", channel);
    }
    const int32_t* row = node.thresholds.data() + channel * steps;
    const bool is_ordered =
        direction == 1 ? std::is_sorted(row, row + steps) : std::is_sorted(row, row + steps, std::greater<int32_t>());
    if (!is_ordered) {
      fail("value", where, ": thresholds: expected ", direction == 1 ? "non-descending" : "non-ascending",
           " numbers in channel ", channel, " (direction ", direction, "), found others");
    }
  }
}

}  // namespace kompakt
