#include "runtime/requantize.h"

namespace kompakt {
namespace {

// `count` numbers from `values`; whole vectors may be read at any channel.
template <typename T>
std::vector<int32_t> padded_row(const T* values, size_t count) {
  std::vector<int32_t> row(values, values + count);
  row.resize((count + kLanes - 1) / kLanes * kLanes + kLanes, 0);
  return row;
}

}  // namespace

Step make_requantize(const Node& node, size_t in_row, int map, const ValueType* other) {
  const Encoding& encoding = node.type.encoding;
  const size_t channels = node.bias.size();
  const int half = 1 << (encoding.bits - 1);
  Step step{Step::Kind::Requantize};
  step.bits = encoding.bits;
  step.is_signed = encoding.is_signed;
  step.lo = static_cast<float>(encoding.is_signed ? -half : 0);
  step.hi = static_cast<float>(node.top);
  step.left = padded_row(node.left.data() + in_row * channels, channels);
  step.right = padded_row(node.right.data(), channels);
  step.offset = padded_row(node.bias.data(), channels);
  for (size_t c = 0; c < channels; ++c) step.offset[c] += (int32_t{1} << node.right[c]) >> 1;
  if (other == nullptr) return step;
  step.addend = other->kind == Kind::Code ? Addend::Code : Addend::Sum;
  step.map = map;
  step.map_channels = channels;
  step.map_left = padded_row(node.left.data() + (1 - in_row) * channels, channels);
  if (other->kind == Kind::Code && other->encoding.is_signed) step.sign = 1 << (other->encoding.bits - 1);
  return step;
}

void run_requantize(const Step& step, const KernelSet& kernels, const Maps& maps, const Row& row) {
  RequantizeArgs args{};
  args.x = row.acc;
  args.pixels = row.pixels;
  args.pitch = row.pitch;
  args.lanes = (row.channels + kLanes - 1) / kLanes * kLanes;
  args.left = step.left.data() + row.first_channel;
  args.offset = step.offset.data() + row.first_channel;
  args.right = step.right.data() + row.first_channel;
  args.addend = step.addend;
  if (step.addend != Addend::None) {
    const size_t element = step.addend == Addend::Sum ? sizeof(int32_t) : 1;
    args.map = maps.at(step.map) + (row.first_pixel * step.map_channels + row.first_channel) * element;
    args.map_pitch = step.map_channels;
    args.map_left = step.map_left.data() + row.first_channel;
  }
  args.sign = step.sign;
  args.lo = static_cast<int32_t>(step.lo);
  args.hi = static_cast<int32_t>(step.hi);
  args.mask = static_cast<uint8_t>((1 << step.bits) - 1);
  args.code = row.code;
  kernels.rows.requantize(args);
}

}  // namespace kompakt
