// Layers on expanded levels: 8-bit operands with an offset, or 16-bit operands.
#include <algorithm>
#include <cstdlib>

#include "base/checked.h"
#include "runtime/operands.h"

namespace kompakt {
namespace {

// Level + offset at most; padding has level 0.
int32_t largest_operand(const LayerSpec& spec) {
  return std::max(0, levels_of(spec.input.encoding).high) + byte_offset(spec);
}

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
        frame_(spec, kernels, offset),
        is_local_(sizeof(Operand) > 1 && window_.taps() == 1 && !window_.is_padded()) {
    if (is_local_) {
      const MapShape& in = window_.in;
      pitch_ = {in.channels, in.width * in.channels, in.elements()};
    } else {
      pitch_ = frame_.pitch();
    }
    for (size_t b = 0; b < blocks_.size(); ++b) pack_block(spec, b, offset);
    if constexpr (sizeof(Operand) == 1)  // products of 16-bit operands are summed in 32 bits
      if (narrow_sums(spec) > 0) set_flush(largest_operand(spec));
  }

  size_t frame_bytes(size_t images) const override { return is_local_ ? 0 : frame_.bytes(images); }
  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    frame_.prepare(map, images, frame);
  }
  const Placement* input_placement() const override { return frame_.input_placement(); }
  void fill_border(size_t images, uint8_t* frame) const override { frame_.fill_border(images, frame); }

  size_t scratch_bytes(size_t pixels) const override {
    return is_local_ ? pixels * window_.in.channels * sizeof(Operand) + kSlack : 0;
  }
  size_t preferred_pixels() const override { return shape_.pixels; }

  void run(const Tile& tile, const uint8_t* operands, uint8_t* scratch, void* out, size_t pitch) const override {
    Args args{};
    args.out = static_cast<int32_t*>(out);
    args.pitch = pitch;
    run_tile(tile, operands, scratch, nullptr, args);
  }

  bool makes_codes() const override { return shape_.makes_codes; }

  void run_codes(const Tile& tile, const uint8_t* operands, uint8_t* scratch, const CodesArgs& codes) const override {
    Args args{};
    run_tile(tile, operands, scratch, &codes, args);
  }

  size_t weight_bytes() const override { return weights_.size() * sizeof(Weight); }

 private:
  void run_tile(const Tile& tile, const uint8_t* operands, uint8_t* scratch, const CodesArgs* codes, Args& args) const {
    size_t offsets[kTilePixels];
    window_offsets(window_, pitch_, tile.first_pixel, tile.pixels, offsets);
    args.in = reinterpret_cast<const Operand*>(is_local_ ? widened(operands, offsets, tile.pixels, scratch) : operands);
    args.pixels = offsets;
    args.pixel_count = tile.pixels;
    args.flush = flush_;
    args.codes = codes;
    if (window_.groups == 1) return run_blocks(args, tile.first_block, tile.blocks);  // all read the same taps
    CodesArgs part;
    for (size_t b = 0; b < tile.blocks; ++b) {
      if (codes != nullptr) {
        part = codes_from(*codes, b);
        args.codes = &part;
      }
      run_blocks(args, tile.first_block + b, 1);
      if (codes == nullptr) args.out += kLanes;
    }
  }

  // Operands of a tile's pixels, next to each other; a frame of them would take twice the map's memory.
  const uint8_t* widened(const uint8_t* codes, size_t* offsets, size_t pixels, uint8_t* scratch) const {
    const size_t channels = window_.in.channels;
    const bool are_neighbours = window_.stride_h == 1 && window_.stride_w == 1;
    const size_t run = are_neighbours ? pixels : 1;
    auto* to = reinterpret_cast<Operand*>(scratch);
    for (size_t p = 0; p < pixels; p += run)
      frame_.operands().convert(codes + offsets[p], run * channels, to + p * channels);
    for (size_t p = 0; p < pixels; ++p) offsets[p] = p * channels;
    return scratch;
  }

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

  // The most taps whose pairs of products stay within int16 in every lane, whatever the operands up to `largest` are.
  void set_flush(int32_t largest) {
    flush_ = taps_.size() + 1;
    for (size_t b = 0; b < blocks_.size(); ++b)
      for (size_t pair = 0; pair < kLanes * 2; ++pair)
        for (const int32_t sign : {1, -1}) {
          const Weight* w = weights_.data() + starts_[b].weight + pair * 2;
          int32_t sum = 0;  // of taps [first, k]
          for (size_t k = 0, first = 0; k < starts_[b].count; ++k) {
            sum += worst_pair(w + k * kLanes * kGroup, sign) * largest;
            for (; sum > INT16_MAX; ++first) {
              flush_ = std::min(flush_, k - first);
              sum -= worst_pair(w + first * kLanes * kGroup, sign) * largest;
            }
          }
        }
    flush_ = std::max<size_t>(flush_, 1);
  }

  static int32_t worst_pair(const Weight* w, int32_t sign) {
    return std::max(0, w[0] * sign) + std::max(0, w[1] * sign);
  }

  void run_blocks(Args& args, size_t first, size_t count) const {
    const Start& start = starts_[first];
    args.taps = taps_.data() + start.tap;
    args.tap_count = start.count;
    args.weights = weights_.data() + start.weight;
    args.block_count = count;
    args.bias = bias_.data() + first * kLanes;
    kernel_(args);
  }

  struct Start {
    size_t tap, weight, count = 0;
  };

  Kernel kernel_;
  DotShape shape_;
  Frame<Operand> frame_;
  bool is_local_;  // operands of a tile are made when it is run
  Pitch pitch_;    // of the windows' memory
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
  return narrow_sums(spec, std::max(std::abs(weights.low), std::abs(weights.high)));
}

size_t narrow_sums(const LayerSpec& spec, int32_t weight) {
  const int32_t operand = largest_operand(spec);
  const int32_t pair = std::max(1, 2 * weight * operand);
  return static_cast<size_t>(32767 / pair);
}

std::unique_ptr<Layer> make_dot_u8(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<DotLayer<uint8_t, int8_t>>(spec, kernels, kernels.dot_u8, kernels.dot_u8_shape,
                                                     byte_offset(spec));
}

std::unique_ptr<Layer> make_dot_s16(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<DotLayer<int16_t, int16_t>>(spec, kernels, kernels.dot_s16, kernels.dot_s16_shape, 0);
}

}  // namespace kompakt
