#include "format/reader.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "base/checked.h"
#include "format/attributes.h"
#include "format/container.h"
#include "format/json.h"
#include "format/limits.h"
#include "format/message.h"
#include "format/operators.h"
#include "format/sections.h"

namespace kompakt {
namespace {

constexpr int64_t kMaxMetadataInteger = int64_t{1} << 53;
constexpr size_t kMaxName = 100;

// The manifest's JSON without its padding: spaces to the next multiple of 64, no more.
std::string_view manifest_text(Bytes section) {
  const std::string_view padded = section.text();
  const std::string_view text = padded.substr(0, padded.find_last_not_of(' ') + 1);
  if (padded.size() != checked_round_up(text.size(), 64, "manifest")) {
    fail("manifest", "manifest: expected padding to a multiple of 64 bytes, found ", text.size(), " bytes of JSON in ",
         padded.size());
  }
  return text;
}

void check_metadata(JsonValue metadata) {
  for (const JsonValue key : metadata) {
    const size_t length = key.as_string().size();
    if (length < 1 || length > kMaxName) {
      fail("manifest", "metadata: expected keys of 1 to ", kMaxName, " characters, found ", length);
    }
    const JsonValue value = key.member();
    const bool is_small = value.is(JsonType::Integer) && value.as_integer() >= -kMaxMetadataInteger &&
                          value.as_integer() <= kMaxMetadataInteger;
    if (!is_small && !value.is(JsonType::Float) && !value.is(JsonType::String)) {
      fail("manifest", "metadata: ", quoted(key.raw()), ": expected text, an integer up to 2^53 or a float, found ",
           json_type_name(value.type()), " ", quoted(value.raw()));
    }
  }
}

// A member of the top level or of one of its fixed parts; all of its problems are of kind "manifest".
class Part {
 public:
  Part(JsonValue object, const char* name, size_t members) : object_(object), name_(name) {
    if (!object.is(JsonType::Object) || object.size() != members) {
      fail("manifest", name, ": expected an object of ", members, " members, found ", json_type_name(object.type()));
    }
  }

  JsonValue member(std::string_view key, JsonType type) const {
    for (const JsonValue found : object_) {
      if (found.raw() != key) continue;
      if (found.member().is(type)) return found.member();
      fail("manifest", name_, ": ", key, ": expected ", json_type_name(type), ", found ",
           json_type_name(found.member().type()));
    }
    fail("manifest", name_, ": expected the key ", quoted(key), ", found none");
  }

 private:
  JsonValue object_;
  const char* name_;
};

// Reads the nodes of one bit-width.
class NodesReader {
 public:
  NodesReader(const std::vector<size_t>& input_shape, Sections& sections) : sections_(sections) {
    program_.input_shape = input_shape;
    input_type_ = {Kind::F32, input_shape, {}};
    count_elements(input_shape, "input");
    ids_["input"] = 0;
    is_used_.push_back(false);
  }

  Program read(JsonValue entries, const std::string& output) {
    const size_t count = entries.size();
    if (count > kMaxNodes) fail("size", "nodes: expected at most ", kMaxNodes, ", found ", count);
    // Types are referred to while a node is read, so the vector must not move.
    program_.nodes.reserve(count);
    for (const JsonValue entry : entries) read_node(entry);
    read_output(output);
    return std::move(program_);
  }

 private:
  void read_node(JsonValue entry) {
    Attributes attributes(entry, text_of("node ", program_.nodes.size()));
    Node node;
    node.name = attributes.string("name");
    check_name(node.name, attributes.where());
    attributes.set_where(text_of("node ", quoted(node.name)));
    const std::string& where = attributes.where();
    node.op = op_of_name(attributes.string("op"), where);
    const std::vector<const ValueType*> inputs = read_inputs(node, attributes);
    check_inputs(node.op, inputs, where);
    read_operator(node, attributes, inputs, sections_);
    count_elements(node.type.shape, where);
    for (const int id : node.inputs) is_used_[static_cast<size_t>(id)] = true;
    is_used_.push_back(false);
    ids_[node.name] = static_cast<int>(program_.nodes.size()) + 1;
    program_.nodes.push_back(std::move(node));
  }

  void check_name(const std::string& name, const std::string& where) const {
    const bool is_legal = name.size() >= 1 && name.size() <= kMaxName &&
                          name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.") ==
                              std::string::npos;
    if (!is_legal) fail("node", where, ": name: expected 1 to 100 of A-Z a-z 0-9 _ ., found ", quoted(name));
    if (ids_.count(name) != 0) fail("node", where, ": name: expected a name that is not taken, found ", quoted(name));
  }

  std::vector<const ValueType*> read_inputs(Node& node, Attributes& attributes) const {
    std::vector<const ValueType*> types;
    for (const JsonValue item : attributes.require("in", JsonType::Array)) {
      if (!item.is(JsonType::String)) {
        fail("node", attributes.where(), ": in: expected names, found ", json_type_name(item.type()));
      }
      const auto found = ids_.find(item.as_string());
      if (found == ids_.end()) {
        fail("node", attributes.where(), ": in: expected 'input' or an earlier node, found ", quoted(item.raw()));
      }
      const int id = found->second;
      node.inputs.push_back(id);
      types.push_back(id == 0 ? &input_type_ : &program_.nodes[static_cast<size_t>(id) - 1].type);
    }
    return types;
  }

  void count_elements(const std::vector<size_t>& shape, const std::string& where) {
    elements_ = checked_add(elements_, check_value_shape(shape, where), "elements");
    if (elements_ > kMaxElements) {
      fail("size", where, ": expected at most 2^31 elements in all values of one image, found ", elements_);
    }
  }

  void read_output(const std::string& name) {
    const auto found = ids_.find(name);
    if (found == ids_.end() || found->second == 0) {
      fail("node", "output: expected the name of a node, found ", quoted(name));
    }
    program_.output = found->second;
    is_used_[static_cast<size_t>(program_.output)] = true;
    const auto unused = std::find(is_used_.begin(), is_used_.end(), false);
    if (unused != is_used_.end()) {
      const auto id = static_cast<size_t>(unused - is_used_.begin());
      fail("node", id == 0 ? std::string("input") : quoted(program_.nodes[id - 1].name),
           ": expected every value but the output to be used, found no use; remove it");
    }
    const Kind kind = program_.nodes[static_cast<size_t>(program_.output) - 1].type.kind;
    if (kind != Kind::F32) fail("node", "output: expected kind f32, found ", kind == Kind::Acc ? "acc" : "code");
  }

  Sections& sections_;
  Program program_;
  ValueType input_type_;
  std::map<std::string, int> ids_;
  std::vector<bool> is_used_;  // by value id
  size_t elements_ = 0;
};

class Reader {
 public:
  explicit Reader(const Container& container)
      : container_(container),
        document_(manifest_text(container.sections[kManifest])),
        has_variants_(document_.root().is(JsonType::Object) && document_.root().size() == kKeys + 2),
        top_(document_.root(), "manifest", has_variants_ ? kKeys + 2 : kKeys),
        sections_(container) {}

  Program read() {
    check_digests();
    read_input();
    const JsonValue metadata = top_.member("metadata", JsonType::Object);
    check_metadata(metadata);
    if (has_variants_) check_widths();
    Program program = read_nodes(top_);
    program.metadata = std::string(metadata.raw());
    if (has_variants_) read_variants(program);
    sections_.check_empty();
    return program;
  }

 private:
  static constexpr size_t kKeys = 5, kVariantKeys = 3;

  void check_digests() const {
    const Part digests(top_.member("digests", JsonType::Object), "digests", 5);
    for (const SectionId id : {kCodes, kBases, kFloats, kThresholds, kDirections}) {
      check_digest(id, container_.sections[id], digests.member(section_name(id), JsonType::String).raw());
    }
  }

  void read_input() {
    const Part input(top_.member("input", JsonType::Object), "input", 1);
    for (const JsonValue extent : input.member("shape", JsonType::Array)) {
      if (!extent.is(JsonType::Integer)) {
        fail("node", "input: shape: expected integers, found ", json_type_name(extent.type()));
      }
      const int64_t number = extent.as_integer();
      if (number < 1 || number > static_cast<int64_t>(kMaxDimension) || input_shape_.size() >= 3) {
        fail("shape", "input: shape: expected (C) or (C, H, W) with dimensions in 1..2^24, found another");
      }
      input_shape_.push_back(static_cast<size_t>(number));
    }
    if (input_shape_.size() != 1 && input_shape_.size() != 3) {
      fail("shape", "input: shape: expected (C) or (C, H, W), found ", shape_text(input_shape_));
    }
  }

  Program read_nodes(const Part& part) {
    const std::string output = part.member("output", JsonType::String).as_string();
    return NodesReader(input_shape_, sections_).read(part.member("nodes", JsonType::Array), output);
  }

  // Bit-widths descend, from that of the top level to that of the last variant; there are two or more.
  void check_widths() const {
    int64_t last = top_.member("bits", JsonType::Integer).as_integer();
    size_t count = 1;
    if (last < 2 || last > kMaxBits) fail("value", "bits: expected 2 to ", kMaxBits, ", found ", last);
    for (const JsonValue entry : top_.member("variants", JsonType::Array)) {
      const int64_t bits = Part(entry, "variant", kVariantKeys).member("bits", JsonType::Integer).as_integer();
      if (bits < 1 || bits >= last) fail("value", "variant: bits: expected 1 to ", last - 1, ", found ", bits);
      last = bits;
      ++count;
    }
    if (count < 2) fail("value", "variants: expected one or more, found none");
  }

  void read_variants(Program& program) {
    program.bits = static_cast<int>(top_.member("bits", JsonType::Integer).as_integer());
    Sections::SharedWeights weights;
    for (const Node& node : program.nodes) {
      if (!node.weight.shape.empty()) weights[node.name] = &node.weight;
    }
    sections_.share(&weights);
    for (const JsonValue entry : top_.member("variants", JsonType::Array)) {
      const Part part(entry, "variant", kVariantKeys);
      Program variant = read_nodes(part);
      variant.bits = static_cast<int>(part.member("bits", JsonType::Integer).as_integer());
      variant.metadata = program.metadata;
      program.variants.push_back(std::move(variant));
    }
    sections_.share(nullptr);
  }

  const Container& container_;
  const JsonDocument document_;
  const bool has_variants_;
  const Part top_;
  Sections sections_;
  std::vector<size_t> input_shape_;
};

}  // namespace

Program read_program(const uint8_t* data, size_t size) {
  const Container container = read_container(data, size);
  return Reader(container).read();
}

}  // namespace kompakt
