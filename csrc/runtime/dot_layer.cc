// Layers on expanded levels: 8-bit operands with an offset, or 16-bit operands.
#include <algorithm>
#include <cstdlib>

#include "base/checked.h"
#include "runtime/operands.h"

namespace kompakt {
namespace {

size_t round_up(size_t n, size_t unit) { return ceil_div(n, unit) * unit; }

// A run of neighbouring operands that one output reads: `taps` kernel positions from (kh, kw), `count` channels each.
struct Segment {
  size_t kh, kw, taps, channel, count;
};

template <typename Operand, typename Weight>
class DotLayer final : public Layer {
  static constexpr size_t kGroup = 4 / sizeof(Operand);
  using Args = DotArgs<Operand, Weight>;
  using Kernel = void (*)(const Args&);

 public:
  DotLayer(const LayerSpec& spec, const KernelSet& kernels, Kernel kernel, DotShape shape, int32_t offset)
      : Layer(spec.window, blocks_across(spec.window)), kernel_(kernel), shape_(shape),
        operands_(spec.input.encoding, kernels, offset), is_direct_(operands_.is_identity() && !window_.is_padded()) {
    if (!is_direct_) frame_elements(window_);
    const size_t width = is_direct_ ? window_.in.width : window_.frame_width();
    const size_t height = is_direct_ ? window_.in.height : window_.frame_height();
    pitch_ = {window_.in.channels, width * window_.in.channels, height * width * window_.in.channels};
    flush_ = std::max<size_t>(narrow_sums(spec), 1);
    for (size_t b = 0; b < blocks_.size(); ++b) pack_block(spec, b, offset);
  }

  size_t frame_bytes(size_t images) const override {
    return is_direct_ ? 0 : images * pitch_.image * sizeof(Operand) + kSlack;
  }

  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    operands_.copy(window_, map, images, frame);
  }

  size_t scratch_bytes(size_t) const override { return 0; }
  size_t preferred_pixels() const override { return shape_.pixels; }

  void run(const Tile& tile, const uint8_t* operands, uint8_t*, void* out, size_t pitch) const override {
    size_t offsets[kTilePixels];
    window_offsets(window_, pitch_, tile.first_pixel, tile.pixels, offsets);
    Args args{};
    args.in = reinterpret_cast<const Operand*>(operands);
    args.pixels = offsets;
    args.pixel_count = tile.pixels;
    args.pitch = pitch;
    args.flush = flush_;
    if (window_.groups == 1) {  // all blocks read the same taps
      run_blocks(args, tile.first_block, tile.blocks, static_cast<int32_t*>(out));
      return;
    }
    for (size_t b = 0; b < tile.blocks; ++b)
      run_blocks(args, tile.first_block + b, 1, static_cast<int32_t*>(out) + b * kLanes);
  }

  size_t weight_bytes() const override { return weights_.size() * sizeof(Weight); }

 private:
  // Input channels of the groups that a block touches, as runs of memory.
  std::vector<Segment> segments_of(const Block& block) const {
    const size_t first_group = block.channel / window_.group_outputs();
    const size_t last_group = (block.channel + block.lanes - 1) / window_.group_outputs();
    const size_t channel = first_group * window_.group_inputs();
    const size_t count = (last_group + 1 - first_group) * window_.group_inputs();
    const bool whole_rows = window_.dilation_w == 1 && count == window_.in.channels;
    std::vector<Segment> segments;
    for (size_t kh = 0; kh < window_.kernel_h; ++kh) {
      if (whole_rows) {
        segments.push_back({kh, 0, window_.kernel_w, channel, count});
        continue;
      }
      for (size_t kw = 0; kw < window_.kernel_w; ++kw) segments.push_back({kh, kw, 1, channel, count});
    }
    return segments;
  }

  void pack_block(const LayerSpec& spec, size_t index, int32_t offset) {
    const Block& block = blocks_[index];
    starts_.push_back({taps_.size(), weights_.size()});
    const bool shares_taps = window_.groups == 1 && index > 0;
    const std::vector<Segment> segments = segments_of(block);
    const size_t groups = groups_per_segment(segments);
    const size_t count = round_up(segments.size() * groups, shape_.taps);
    for (const Segment& segment : segments) {
      const size_t filled = &segment == &segments.back() ? count - segments.size() * groups : 0;
      const size_t base = segment.kh * window_.dilation_h * pitch_.row +
                          segment.kw * window_.dilation_w * pitch_.column + segment.channel;
      for (size_t g = 0; g < groups + filled; ++g) {
        if (!shares_taps) taps_.push_back(base + g * kGroup);
        pack_group(spec, block, segment, g);
      }
    }
    starts_.back().count = count;
    if (shares_taps) starts_.back().tap = starts_.front().tap;
    pack_bias(spec, block, offset);
  }

  // Groups of operands of each segment; all segments of a block are alike. They are filled up to runs that suit the
  // kernel unless that adds more than a quarter. At most 64 bytes behind a window are read: kSlack.
  size_t groups_per_segment(const std::vector<Segment>& segments) const {
    const size_t exact = ceil_div(segments.front().taps * segments.front().count, kGroup);
    const size_t filled = round_up(exact, shape_.taps);
    const size_t least = round_up(segments.size() * exact, shape_.taps);
    return 4 * segments.size() * filled <= 5 * least ? filled : exact;
  }

  // Weights of one group of operands for 16 lanes: (16, kGroup).
  void pack_group(const LayerSpec& spec, const Block& block, const Segment& segment, size_t group) {
    for (size_t lane = 0; lane < kLanes; ++lane)
      for (size_t j = 0; j < kGroup; ++j)
        weights_.push_back(lane < block.lanes ? weight_at(spec, block.channel + lane, segment, group * kGroup + j) : 0);
  }

  // Weight of output channel `o` for element `e` of a segment; 0 outside the channel's group and behind the end.
  Weight weight_at(const LayerSpec& spec, size_t o, const Segment& segment, size_t e) const {
    if (e >= segment.taps * segment.count) return 0;
    const size_t channel = segment.channel + e % segment.count;
    const size_t first = o / window_.group_outputs() * window_.group_inputs();
    if (channel < first || channel >= first + window_.group_inputs()) return 0;
    const size_t tap = segment.kh * window_.kernel_w + segment.kw + e / segment.count;
    return static_cast<Weight>(spec.level(o, (channel - first) * window_.taps() + tap));
  }

  // Operands are level + offset, padding included, so offset * sum(weights) must go.
  void pack_bias(const LayerSpec& spec, const Block& block, int32_t offset) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      uint32_t sum = 0;
      if (lane < block.lanes)
        for (size_t at = 0; at < spec.per_channel(); ++at)
          sum += static_cast<uint32_t>(spec.level(block.channel + lane, at));
      bias_.push_back(static_cast<int32_t>(0u - sum * static_cast<uint32_t>(offset)));
    }
  }

  void run_blocks(Args& args, size_t first, size_t count, int32_t* out) const {
    const Start& start = starts_[first];
    args.taps = taps_.data() + start.tap;
    args.tap_count = start.count;
    args.weights = weights_.data() + start.weight;
    args.block_count = count;
    args.bias = bias_.data() + first * kLanes;
    args.out = out;
    kernel_(args);
  }

  struct Start {
    size_t tap, weight, count = 0;
  };

  Kernel kernel_;
  DotShape shape_;
  Operands<Operand> operands_;
  bool is_direct_ = false;
  Pitch pitch_;
  size_t flush_ = 1;
  std::vector<size_t> taps_;
  std::vector<Weight> weights_;
  std::vector<int32_t> bias_;
  std::vector<Start> starts_;
};

}  // namespace

int32_t byte_offset(const LayerSpec& spec) { return std::max(0, -levels_of(spec.input.encoding).low); }

bool fits_bytes(const LayerSpec& spec) {
  return levels_of(spec.input.encoding).high + byte_offset(spec) <= 255;
}

size_t narrow_sums(const LayerSpec& spec) {
  const Range weights = levels_of(spec.weight.encoding);
  const int32_t weight = std::max(std::abs(weights.low), std::abs(weights.high));
  const int32_t operand = levels_of(spec.input.encoding).high + byte_offset(spec);
  const int32_t pair = std::max(1, 2 * weight * operand);
  return static_cast<size_t>(32767 / pair);
}

std::unique_ptr<Layer> make_dot_u8(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<DotLayer<uint8_t, int8_t>>(spec, kernels, kernels.dot_u8, kernels.dot_u8_shape,
                                                     byte_offset(spec));
}

std::unique_ptr<Layer> make_dot_s16(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<DotLayer<int16_t, int16_t>>(spec, kernels, kernels.dot_s16, DotShape{1, 1}, 0);
}

}  // namespace kompakt
