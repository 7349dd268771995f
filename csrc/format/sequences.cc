#include "format/sequences.h"

#include "base/checked.h"
#include "format/encodings.h"
#include "format/limits.h"
#include "format/message.h"

namespace kompakt {

void read_embedding(Node& node, Attributes& attributes, const ValueType& input, Sections& sections) {
  const std::string& where = attributes.where();
  if (node.inputs[0] != 0 || input.shape.size() != 1) {
    fail("node", where, ": expected the program's input, token ids (T), found another value");
  }
  node.weight = read_weight(attributes.object("weight"), node.name, 2, sections);
  if (!node.weight.is_float && node.weight.encoding.grains != 1) {
    fail("encoding", where, ": expected a table of one grain, found ", node.weight.encoding.grains);
  }
  node.codes.resize(node.weight.codes.size());
  for (size_t i = 0; i < node.codes.size(); ++i) node.codes[i] = node.weight.codes[i];
  const std::vector<size_t> shape{node.weight.shape[1], input.shape[0], 1};
  node.type = {node.weight.is_float ? Kind::F32 : Kind::Code, shape, node.weight.encoding};
}

void read_recurrent(Node& node, Attributes& attributes, const ValueType& input, Sections& sections) {
  const std::string& where = attributes.where();
  const size_t gates = node.op == Op::Lstm ? 4 : 3;
  node.type = {Kind::F32, {}, {}};
  if (attributes.find("encoding")) {
    node.type = {Kind::Code, {}, read_activation_encoding(attributes.object("encoding"))};
    read_quantize(node, attributes);
  } else if (attributes.find("inv_step")) {
    fail("node", where, ": expected encoding and inv_step, or none of them, found inv_step alone");
  }
  node.weight = read_weight(attributes.object("weight"), node.name, 2, sections);
  node.multipliers = sections.take_floats(input.shape[0], where);
  node.offsets = sections.take_floats(input.shape[0], where);
  need_map(input, where);
  const size_t width = node.weight.shape[1];
  if (node.weight.shape[0] != checked_mul(gates, width, "gates") || input.shape[0] != node.weight.shape[0]) {
    fail("shape", where, ": expected (", gates, " H, ..) and a weight (", gates, " H, H), found ",
         shape_text(input.shape), " and ", shape_text(node.weight.shape));
  }
  node.type.shape = {width, input.shape[1], input.shape[2]};
  sums_of(node.weight, node.type, node.type.shape, where);
}

void read_attention(Node& node, Attributes& attributes, const Types& inputs) {
  const std::string& where = attributes.where();
  const ValueType& first = *inputs[0];
  node.heads = static_cast<size_t>(attributes.integer("heads", 1, kMaxDimension, "shape"));
  node.scale = read_scale(attributes, "scale");
  need_map(first, where);
  for (const ValueType* input : inputs) {
    if (input->shape == first.shape) continue;
    fail("shape", where, ": expected queries, keys and values of one shape, found ", shape_text(first.shape), " and ",
         shape_text(input->shape));
  }
  if (first.shape[0] % node.heads != 0) {
    fail("shape", where, ": heads: expected a divisor of ", first.shape[0], ", found ", node.heads);
  }
  node.type = first;
}

}  // namespace kompakt
