// Parameters of elementwise steps, prepared at load.
#include <algorithm>
#include <limits>

#include "runtime/geometry.h"
#include "runtime/rows.h"

namespace kompakt {
namespace {

// Whole vectors may be read at any channel.
size_t padded(size_t channels) { return (channels + kLanes - 1) / kLanes * kLanes + kLanes; }

std::vector<float> padded_copy(const std::vector<float>& values) {
  std::vector<float> copy = values;
  copy.resize(padded(values.size()), 0.0f);
  return copy;
}

std::vector<float> decoded(const Encoding& encoding, float scale) {
  std::vector<float> values(256, 0.0f);
  for (size_t code = 0; code < encoding.codes(); ++code)
    values[code] = static_cast<float>(encoding.level(0, code)) * scale;
  return values;
}

// Codes to floats: by a table, which vectors hold up to 3 bits, or by arithmetic where levels are affine.
Step make_decoding(Step::Kind by_level, Step::Kind by_table, const Encoding& encoding, float scale) {
  const bool is_affine = encoding.kind == Encoding::Kind::Affine && encoding.bits >= 4;
  Step step{is_affine ? by_level : by_table};
  step.bits = encoding.bits;
  step.scale = scale;
  step.sign = encoding.is_signed ? 1 << (encoding.bits - 1) : 0;
  if (!is_affine) step.values = decoded(encoding, scale);
  return step;
}

Step make_affine(const Node& node, const ValueType& input) {
  Step step{input.kind == Kind::Acc ? Step::Kind::AffineAcc : Step::Kind::AffineReal};
  step.m = padded_copy(node.multipliers);
  step.b = padded_copy(node.offsets);
  return step;
}

Step make_quantize(const Node& node) {
  const Encoding& encoding = node.type.encoding;
  const int half = 1 << (encoding.bits - 1);
  Step step{Step::Kind::Quantize};
  step.bits = encoding.bits;
  step.inv_step = node.inv_step;
  step.is_signed = encoding.is_signed;
  step.lo = static_cast<float>(encoding.is_signed ? -half : 0);
  step.hi = static_cast<float>(encoding.is_signed ? half - 1 : 2 * half - 1);
  return step;
}

// x <= T is the same as ~x >= ~T, so a descending channel becomes an ascending one by flipping all bits.
Step make_threshold(const Node& node) {
  const size_t channels = node.directions.size();
  const size_t count = node.type.encoding.codes() - 1;
  Step step{Step::Kind::Threshold};
  step.bits = node.type.encoding.bits;
  step.flip.assign(padded(channels), 0);
  const bool is_transposed = step.bits <= 4;
  const size_t pitch = padded(channels);
  step.thresholds.assign(is_transposed ? count * pitch : count * channels, 0);
  for (size_t c = 0; c < channels; ++c) {
    step.flip[c] = node.directions[c] == 1 ? 0 : -1;
    for (size_t k = 0; k < count; ++k)
      step.thresholds[is_transposed ? k * pitch + c : c * count + k] = node.thresholds[c * count + k] ^ step.flip[c];
  }
  return step;
}

// (C, H, W) to (H, W, C).
Step make_constant(const Node& node) {
  const MapShape shape(node.type.shape);
  Step step{Step::Kind::AddConstant};
  step.map_channels = shape.channels;
  step.values.resize(shape.elements());
  for (size_t c = 0; c < shape.channels; ++c)
    for (size_t p = 0; p < shape.pixels(); ++p)
      step.values[p * shape.channels + c] = node.constant[c * shape.pixels() + p];
  return step;
}

// Appends codes[index] unless it is the identity.
void append_codes(std::vector<Step>& steps, const std::vector<uint8_t>& codes, int bits) {
  Step step{Step::Kind::MapCodes};
  step.bits = bits;
  bool is_identity = true;
  for (size_t i = 0; i < codes.size(); ++i) {
    step.codes[i] = codes[i];
    is_identity = is_identity && codes[i] == i;
  }
  if (!is_identity) steps.push_back(std::move(step));
}

Step make_recode(const Node& node, const Encoding& from) {
  Step step{Step::Kind::MapCodes};
  step.bits = from.bits;
  for (size_t code = 0; code < from.codes(); ++code) {
    const int32_t level = from.level(0, code);
    const auto passed = std::upper_bound(node.thresholds.begin(), node.thresholds.end(), level);
    step.codes[code] = node.codes[static_cast<size_t>(passed - node.thresholds.begin())];
  }
  return step;
}

}  // namespace

std::vector<Step> make_steps(const Node& node, const ValueType& input) {
  std::vector<Step> steps;
  switch (node.op) {
    case Op::Affine: steps.push_back(make_affine(node, input)); break;
    case Op::Quantize: steps.push_back(make_quantize(node)); break;
    case Op::Recode: steps.push_back(make_recode(node, input.encoding)); break;
    case Op::Clamp:
      steps.push_back({Step::Kind::Clamp});
      steps.back().lo = node.lo;
      steps.back().hi = node.hi;
      break;
    case Op::Unary:
      steps.push_back({Step::Kind::Unary});
      steps.back().function = node.function;
      break;
    case Op::AddConstant: steps.push_back(make_constant(node)); break;
    case Op::Dequantize:
      steps.push_back(make_decoding(Step::Kind::DecodeAffine, Step::Kind::Decode, input.encoding, node.scale));
      break;
    case Op::Encode:
      steps.push_back({Step::Kind::Encode});
      steps.back().bits = node.type.encoding.bits;
      steps.back().real_thresholds = node.float_thresholds;
      append_codes(steps, node.codes, node.type.encoding.bits);
      break;
    case Op::Threshold:
      steps.push_back(make_threshold(node));
      append_codes(steps, node.codes, node.type.encoding.bits);
      break;
    default: break;  // not elementwise
  }
  return steps;
}

Step make_add(int map, const ValueType& type) {
  Step step{Step::Kind::AddReal};
  step.residual = Residual::Real;
  step.map = map;
  step.map_channels = type.shape[0];
  return step;
}

Step make_add_codes(int map, const ValueType& type, float scale) {
  Step step = make_decoding(Step::Kind::AddAffineCode, Step::Kind::AddCode, type.encoding, scale);
  if (type.encoding.kind == Encoding::Kind::Affine)
    step.residual = Residual::Affine;
  else if (type.encoding.bits <= 4)
    step.residual = Residual::Table;
  step.map = map;
  step.map_channels = type.shape[0];
  return step;
}

Step make_store(int value, const ValueType& type) {
  const Step::Kind kinds[] = {Step::Kind::StoreReal, Step::Kind::StoreAcc, Step::Kind::StoreCode};
  Step step{kinds[static_cast<size_t>(type.kind)]};
  step.map = value;
  step.map_channels = type.shape[0];
  return step;
}

}  // namespace kompakt
