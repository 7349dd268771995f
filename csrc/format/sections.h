// Hands out the bytes of the data sections in node order, and to variants the weights that they share.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/program.h"
#include "format/container.h"

namespace kompakt {

class Sections {
 public:
  explicit Sections(const Container& container) : rest_(container.sections) {}

  // From now on nodes are of a variant, whose weights are parts of the named ones of the highest bit-width.
  using SharedWeights = std::map<std::string, const Weight*>;
  void share(const SharedWeights* weights) { shared_ = weights; }
  bool is_shared() const { return shared_ != nullptr; }
  // The weight that the node's is a part of. Throws ArtifactError("node") if no node of that name has one.
  const Weight& shared_weight(const std::string& node, const std::string& where) const;

  // The next `count` items of a section. Throws ArtifactError("section") if fewer are left; nothing is allocated before
  // that is known. `where` names the node.
  Bytes take_codes(size_t bytes, const std::string& where) { return take(kCodes, bytes, where); }
  std::vector<int8_t> take_bases(size_t count, const std::string& where);
  std::vector<int8_t> take_directions(size_t count, const std::string& where);
  std::vector<int32_t> take_thresholds(size_t count, const std::string& where);
  // Floats are verified to be finite ("value").
  std::vector<float> take_floats(size_t count, const std::string& where);

  // Throws ArtifactError("section") if a data section holds more than the nodes took.
  void check_empty() const;

 private:
  Bytes take(SectionId id, size_t count, const std::string& where);
  template <class T>
  std::vector<T> copy(SectionId id, size_t count, const std::string& where);

  std::array<Bytes, kSectionCount> rest_;
  const SharedWeights* shared_ = nullptr;
};

}  // namespace kompakt
