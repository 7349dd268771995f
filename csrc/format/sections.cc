#include "format/sections.h"

#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "format/message.h"

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Sections are copied as they lie in the file, which is little-endian."
#endif

namespace kompakt {

Bytes Sections::take(SectionId id, size_t count, const std::string& where) {
  const size_t bytes = checked_mul(count, section_item_bytes(id), section_name(id));
  Bytes& rest = rest_[id];
  if (bytes > rest.size) {
    fail("section", where, ": expected ", bytes, " more bytes in section ", section_name(id), ", found ", rest.size);
  }
  const Bytes taken{rest.data, bytes};
  rest = {rest.data + bytes, rest.size - bytes};
  return taken;
}

template <class T>
std::vector<T> Sections::copy(SectionId id, size_t count, const std::string& where) {
  const Bytes bytes = take(id, count, where);
  std::vector<T> items(count);
  if (count > 0) std::memcpy(items.data(), bytes.data, bytes.size);
  return items;
}

std::vector<int8_t> Sections::take_bases(size_t count, const std::string& where) {
  return copy<int8_t>(kBases, count, where);
}

std::vector<int8_t> Sections::take_directions(size_t count, const std::string& where) {
  return copy<int8_t>(kDirections, count, where);
}

std::vector<int32_t> Sections::take_thresholds(size_t count, const std::string& where) {
  return copy<int32_t>(kThresholds, count, where);
}

std::vector<float> Sections::take_floats(size_t count, const std::string& where) {
  std::vector<float> items = copy<float>(kFloats, count, where);
  for (size_t i = 0; i < items.size(); ++i) {
    if (!std::isfinite(items[i])) {
      fail("value", where, ": expected finite floats, found ", std::isnan(items[i]) ? "NaN" : "infinity", " at index ", i);
    }
  }
  return items;
}

const Weight& Sections::shared_weight(const std::string& node, const std::string& where) const {
  const auto found = shared_->find(node);
  if (found == shared_->end()) {
    fail("node", where, ": weight: expected a node of this name with a weight at the highest bit-width, found none");
  }
  return *found->second;
}

void Sections::check_empty() const {
  for (const SectionId id : {kCodes, kBases, kFloats, kThresholds, kDirections}) {
    if (rest_[id].size != 0) {
      fail("section", section_name(id), ": expected no bytes after those that the nodes need, found ", rest_[id].size);
    }
  }
}

}  // namespace kompakt
