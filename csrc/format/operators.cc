#include "format/operators.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/checked.h"
#include "format/checks.h"
#include "format/encodings.h"
#include "format/limits.h"
#include "format/message.h"
#include "format/sequences.h"
#include "format/requantize.h"
#include "format/thresholds.h"

namespace kompakt {
namespace {

enum Takes : unsigned { kF32 = 1, kAcc = 2, kCode = 4 };

struct OpSpec {
  const char* name;
  Op op;
  unsigned takes;
  size_t least_inputs;
  size_t most_inputs;
};

constexpr std::array<OpSpec, 25> kOps = {{
    {"quantize", Op::Quantize, kF32, 1, 1},
    {"encode", Op::Encode, kF32, 1, 1},
    {"recode", Op::Recode, kCode, 1, 1},
    {"threshold", Op::Threshold, kAcc, 1, 1},
    {"requantize", Op::Requantize, kAcc | kCode, 1, 2},
    {"dequantize", Op::Dequantize, kCode, 1, 1},
    {"conv2d", Op::Conv2d, kCode | kF32, 1, 1},
    {"linear", Op::Linear, kCode | kF32, 1, 1},
    {"affine", Op::Affine, kAcc | kF32, 1, 1},
    {"add", Op::Add, kF32, 2, 2},
    {"clamp", Op::Clamp, kF32, 1, 1},
    {"max_pool", Op::MaxPool, kCode | kF32, 1, 1},
    {"sum_pool", Op::SumPool, kCode | kF32, 1, 1},
    {"concat", Op::Concat, kCode | kF32, 2, kMaxConcat},
    {"shift_pad", Op::ShiftPad, kCode | kF32, 1, 1},
    {"flatten", Op::Flatten, kCode | kAcc | kF32, 1, 1},
    {"unary", Op::Unary, kF32, 1, 1},
    {"add_constant", Op::AddConstant, kF32, 1, 1},
    {"layer_norm", Op::LayerNorm, kF32, 1, 1},
    {"attention", Op::Attention, kF32, 3, 3},
    {"embedding", Op::Embedding, kF32, 1, 1},
    {"lstm", Op::Lstm, kF32, 1, 1},
    {"gru", Op::Gru, kF32, 1, 1},
    {"reshape", Op::Reshape, kCode | kAcc | kF32, 1, 1},
    {"gather", Op::Gather, kCode | kF32, 1, 1},
}};

constexpr bool is_in_order_of_op() {
  for (size_t i = 0; i < kOps.size(); ++i) {
    if (static_cast<size_t>(kOps[i].op) != i) return false;
  }
  return true;
}
static_assert(is_in_order_of_op(), "kOps is indexed by Op");

unsigned takes_bit(Kind kind) { return kind == Kind::F32 ? kF32 : kind == Kind::Acc ? kAcc : kCode; }

// Extent that a sliding window gives. All arguments but `extent` are at most 4096, `extent` is at most 2^24.
size_t window_extent(size_t extent, size_t kernel, size_t stride, size_t padding, size_t dilation,
                     const std::string& where) {
  const size_t span = dilation * (kernel - 1) + 1;
  const size_t padded = extent + 2 * padding;
  if (padded < span) {
    fail("shape", where, ": expected a window of at most ", padded, " (input and padding), found ", span);
  }
  return (padded - span) / stride + 1;
}

// (C, H, W) that kernel, stride, padding and dilation of `node` make of `input`, with `channels` as C.
std::vector<size_t> window_shape(const Node& node, size_t channels, const ValueType& input, const std::string& where) {
  std::vector<size_t> shape{channels, 0, 0};
  for (size_t i = 0; i < 2; ++i) {
    shape[i + 1] =
        window_extent(input.shape[i + 1], node.kernel[i], node.stride[i], node.padding[i], node.dilation[i], where);
  }
  return shape;
}

void read_conv2d(Node& node, Attributes& attributes, const ValueType& input, Sections& sections) {
  const std::string& where = attributes.where();
  node.weight = read_weight(attributes.object("weight"), node.name, 4, sections);
  node.stride = attributes.pair_or("stride", {1, 1}, 1, kMaxWindow);
  node.padding = attributes.pair_or("padding", {0, 0}, 0, kMaxWindow);
  node.dilation = attributes.pair_or("dilation", {1, 1}, 1, kMaxWindow);
  node.groups = static_cast<size_t>(attributes.integer_or("groups", 1, 1, kMaxDimension, "shape"));
  node.kernel = {node.weight.shape[2], node.weight.shape[3]};
  need_map(input, where);
  const size_t outputs = node.weight.shape[0];
  const size_t inputs = input.shape[0];
  if (inputs % node.groups != 0 || outputs % node.groups != 0 || node.weight.shape[1] != inputs / node.groups) {
    fail("shape", where, ": expected a weight (O, ", inputs, " / groups, KH, KW), found ", shape_text(node.weight.shape),
         " with groups ", node.groups);
  }
  node.type = sums_of(node.weight, input, window_shape(node, outputs, input, where), where);
}

void read_linear(Node& node, Attributes& attributes, const ValueType& input, Sections& sections) {
  const std::string& where = attributes.where();
  node.weight = read_weight(attributes.object("weight"), node.name, 2, sections);
  if (input.shape.size() != 1 || input.shape[0] != node.weight.shape[1]) {
    fail("shape", where, ": expected an input (", node.weight.shape[1], "), found ", shape_text(input.shape));
  }
  node.type = sums_of(node.weight, input, {node.weight.shape[0]}, where);
}

void read_affine(Node& node, Attributes& attributes, const ValueType& input, Sections& sections) {
  node.multipliers = sections.take_floats(input.shape[0], attributes.where());
  node.offsets = sections.take_floats(input.shape[0], attributes.where());
  node.type = {Kind::F32, input.shape, {}};
}

void read_add(Node& node, const Types& inputs, const std::string& where) {
  if (inputs[0]->shape != inputs[1]->shape) {
    fail("shape", where, ": expected equal shapes, found ", shape_text(inputs[0]->shape), " and ",
         shape_text(inputs[1]->shape));
  }
  node.type = *inputs[0];
}

void read_clamp(Node& node, Attributes& attributes, const ValueType& input) {
  const std::optional<float> lo = attributes.optional_float32("lo");
  const std::optional<float> hi = attributes.optional_float32("hi");
  if (lo && *lo == 0.0f) attributes.refuse_default("lo");
  node.lo = lo.value_or(0.0f);
  node.hi = hi.value_or(std::numeric_limits<float>::infinity());
  if (node.lo > node.hi) {
    fail("value", attributes.where(), ": expected lo <= hi, found ", node.lo, " and ", node.hi);
  }
  node.type = input;
}

// Kernel, stride, padding and shape of both pools.
void read_pool(Node& node, Attributes& attributes, const ValueType& input) {
  const std::string& where = attributes.where();
  need_map(input, where);
  node.is_global = node.op == Op::SumPool && !attributes.find("kernel");
  if (node.is_global) {
    if (attributes.find("stride") || attributes.find("padding")) {
      fail("node", where, ": expected no stride and no padding in a pool over the whole map");
    }
    node.kernel = node.stride = {input.shape[1], input.shape[2]};
  } else {
    node.kernel = attributes.pair("kernel", 1, kMaxWindow);
    node.stride = attributes.pair_or("stride", node.kernel, 1, kMaxWindow);
    node.padding = attributes.pair_or("padding", {0, 0}, 0, kMaxWindow);
  }
  if (node.padding[0] >= node.kernel[0] || node.padding[1] >= node.kernel[1]) {
    fail("shape", where, ": expected padding below kernel ", shape_text(node.kernel), ", found ",
         shape_text(node.padding));
  }
  node.type = input;
  node.type.shape = window_shape(node, input.shape[0], input, where);
}

void read_sum_pool(Node& node, Attributes& attributes, const ValueType& input) {
  read_pool(node, attributes, input);
  if (input.kind == Kind::F32) return;
  const uint64_t window = uint64_t{node.kernel[0]} * node.kernel[1];
  node.type = {Kind::Acc, node.type.shape, {}, checked_bound(window, input, attributes.where(), "a window")};
}

void read_concat(Node& node, const Types& inputs, const std::string& where) {
  const ValueType& first = *inputs[0];
  size_t channels = 0;
  for (const ValueType* input : inputs) {
    if (input->kind != first.kind) {
      fail("node", where, ": expected inputs of one kind, found ", kind_name(first.kind), " and ", kind_name(input->kind));
    }
    if (input->encoding != first.encoding) fail("encoding", where, ": expected inputs of one encoding, found two");
    if (!std::equal(input->shape.begin() + 1, input->shape.end(), first.shape.begin() + 1, first.shape.end())) {
      fail("shape", where, ": expected equal H and W, found ", shape_text(first.shape), " and ", shape_text(input->shape));
    }
    channels = checked_add(channels, input->shape[0], "concat");
  }
  node.type = first;
  node.type.shape[0] = channels;
}

void read_shift_pad(Node& node, Attributes& attributes, const ValueType& input) {
  const std::string& where = attributes.where();
  const auto stride = static_cast<size_t>(attributes.integer_or("stride", 1, 1, kMaxWindow, "shape"));
  node.stride = {stride, stride};
  node.before = static_cast<size_t>(attributes.integer_or("before", 0, 0, kMaxDimension, "shape"));
  node.after = static_cast<size_t>(attributes.integer_or("after", 0, 0, kMaxDimension, "shape"));
  need_map(input, where);
  const size_t added = node.before + node.after;
  if (added > 0 && input.kind == Kind::Code && !has_level_zero(input.encoding)) {
    fail("encoding", where, ": expected an encoding with a code of level 0 to fill new channels, found none");
  }
  node.type = input;
  node.type.shape = {input.shape[0] + added, ceil_div(input.shape[1], stride), ceil_div(input.shape[2], stride)};
}

void read_flatten(Node& node, const ValueType& input, const std::string& where) {
  need_map(input, where);
  node.type = input;
  node.type.shape = {checked_product(input.shape, "flatten")};
}

// Positions of a value: H * W, or 1.
size_t positions_of(const ValueType& value) {
  return value.shape.size() == 3 ? checked_mul(value.shape[1], value.shape[2], "positions") : 1;
}

void read_reshape(Node& node, Attributes& attributes, const ValueType& input) {
  const Attributes::Pair size = attributes.pair("size", 1, kMaxDimension);
  if (checked_mul(size[0], size[1], "size") != positions_of(input)) {
    fail("shape", attributes.where(), ": expected a size that holds the positions of ", shape_text(input.shape),
         ", found ", shape_text(size));
  }
  node.type = input;
  node.type.shape = {input.shape[0], size[0], size[1]};
}

void read_gather(Node& node, Attributes& attributes, const ValueType& input) {
  const std::string& where = attributes.where();
  node.by_position = attributes.integer_or("axis", 0, 0, 1, "shape") == 1;
  if (node.by_position) need_map(input, where);
  const size_t places = node.by_position ? positions_of(input) : input.shape[0];
  for (const int64_t place : attributes.integers("index", 0, kMaxDimension - 1, "shape")) {
    if (static_cast<size_t>(place) >= places) {
      fail("shape", where, ": index: expected places in 0..", places - 1, ", found ", place);
    }
    node.index.push_back(static_cast<size_t>(place));
  }
  if (node.index.empty()) fail("shape", where, ": index: expected at least one place, found none");
  node.type = input;
  if (node.by_position)
    node.type.shape = {input.shape[0], node.index.size(), 1};
  else
    node.type.shape[0] = node.index.size();
}

void read_unary(Node& node, Attributes& attributes, const ValueType& input) {
  constexpr std::array<std::pair<const char*, Unary>, 5> kFunctions = {{
      {"gelu", Unary::Gelu},
      {"hardswish", Unary::Hardswish},
      {"sigmoid", Unary::Sigmoid},
      {"silu", Unary::Silu},
      {"tanh", Unary::Tanh},
  }};
  const std::string name = attributes.string("function");
  const auto found = std::find_if(kFunctions.begin(), kFunctions.end(), [&](const auto& f) { return name == f.first; });
  if (found == kFunctions.end()) {
    fail("value", attributes.where(), ": function: expected a known one, found ", quoted(name));
  }
  node.function = found->second;
  node.type = input;
}

}  // namespace

Op op_of_name(std::string_view name, const std::string& where) {
  for (const OpSpec& spec : kOps) {
    if (name == spec.name) return spec.op;
  }
  fail("node", where, ": expected a known operator, found ", quoted(name));
}

void check_inputs(Op op, const Types& inputs, const std::string& where) {
  const OpSpec& spec = kOps[static_cast<size_t>(op)];
  if (inputs.size() < spec.least_inputs || inputs.size() > spec.most_inputs) {
    fail("node", where, ": expected ", spec.least_inputs, "..", spec.most_inputs, " inputs of ", spec.name, ", found ",
         inputs.size());
  }
  for (const ValueType* input : inputs) {
    if ((spec.takes & takes_bit(input->kind)) == 0) {
      fail("node", where, ": expected an input of another kind for ", spec.name, ", found ", kind_name(input->kind));
    }
  }
}

size_t check_value_shape(const std::vector<size_t>& shape, const std::string& where) {
  for (const size_t extent : shape) {
    if (extent < 1 || extent > kMaxDimension) {
      fail("shape", where, ": expected dimensions in 1..2^24, found ", shape_text(shape));
    }
  }
  return checked_product(shape, "value");
}

void read_operator(Node& node, Attributes& attributes, const Types& inputs, Sections& sections) {
  const ValueType& input = *inputs[0];
  const std::string& where = attributes.where();
  const bool has_encoding = node.op == Op::Quantize || node.op == Op::Encode || node.op == Op::Recode ||
                            node.op == Op::Threshold || node.op == Op::Requantize;
  if (has_encoding) node.type = {Kind::Code, input.shape, read_activation_encoding(attributes.object("encoding"))};
  switch (node.op) {
    case Op::Quantize: read_quantize(node, attributes); break;
    case Op::Encode: read_encode(node, attributes); break;
    case Op::Recode: read_recode(node, attributes); break;
    case Op::Threshold: read_threshold(node, attributes, input.shape[0], sections); break;
    case Op::Requantize: read_requantize(node, attributes, inputs, sections); break;
    case Op::Dequantize:
      node.scale = read_scale(attributes, "scale");
      node.type = {Kind::F32, input.shape, {}};
      break;
    case Op::Conv2d: read_conv2d(node, attributes, input, sections); break;
    case Op::Linear: read_linear(node, attributes, input, sections); break;
    case Op::Affine: read_affine(node, attributes, input, sections); break;
    case Op::Add: read_add(node, inputs, where); break;
    case Op::Clamp: read_clamp(node, attributes, input); break;
    case Op::MaxPool: read_pool(node, attributes, input); break;
    case Op::SumPool: read_sum_pool(node, attributes, input); break;
    case Op::Concat: read_concat(node, inputs, where); break;
    case Op::ShiftPad: read_shift_pad(node, attributes, input); break;
    case Op::Flatten: read_flatten(node, input, where); break;
    case Op::Unary: read_unary(node, attributes, input); break;
    case Op::AddConstant:
      node.constant = sections.take_floats(checked_product(input.shape, "constant"), where);
      node.type = input;
      break;
    case Op::LayerNorm:
      node.eps = read_scale(attributes, "eps");
      node.type = input;
      break;
    case Op::Embedding: read_embedding(node, attributes, input, sections); break;
    case Op::Lstm:
    case Op::Gru: read_recurrent(node, attributes, input, sections); break;
    case Op::Attention: read_attention(node, attributes, inputs); break;
    case Op::Reshape: read_reshape(node, attributes, input); break;
    case Op::Gather: read_gather(node, attributes, input); break;
  }
  attributes.finish();
}

}  // namespace kompakt
