// Layers over float32 inputs: sums in the order of docs/numerics.md, (i, kh, kw) ascending.
#include <algorithm>
#include <cstring>

#include "runtime/layer.h"

namespace kompakt {
namespace {

class RealLayer final : public Layer {
 public:
  RealLayer(const LayerSpec& spec, const KernelSet& kernels)
      : Layer(spec.window, is_depthwise(spec.window) ? blocks_across(spec.window) : blocks_per_group(spec.window)),
        is_depthwise_(is_depthwise(spec.window)),
        kernel_(is_depthwise_ ? kernels.real_depthwise : kernels.real) {
    if (window_.is_padded()) frame_elements(window_);
    const size_t width = window_.is_padded() ? window_.frame_width() : window_.in.width;
    const size_t height = window_.is_padded() ? window_.frame_height() : window_.in.height;
    pitch_ = {window_.in.channels, width * window_.in.channels, height * width * window_.in.channels};
    if (is_depthwise_)
      pack_depthwise(spec);
    else
      pack(spec);
  }

  size_t frame_bytes(size_t images) const override {
    return window_.is_padded() ? images * pitch_.image * sizeof(float) + kSlack : 0;
  }

  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    const size_t bytes = window_.in.channels * sizeof(float);
    const auto fill = [bytes](uint8_t* at, size_t pixels) { std::memset(at, 0, pixels * bytes); };
    const auto copy = [bytes](const uint8_t* from, uint8_t* to, size_t pixels) {
      std::memcpy(to, from, pixels * bytes);
    };
    copy_frame(window_, {bytes, bytes, fill, copy}, map, images, frame);
  }

  size_t scratch_bytes(size_t) const override { return 0; }

  void run(const Tile& tile, const uint8_t* operands, uint8_t*, void* out, size_t pitch) const override {
    size_t offsets[kTilePixels];
    window_offsets(window_, pitch_, tile.first_pixel, tile.pixels, offsets);
    RealArgs args{};
    args.in = reinterpret_cast<const float*>(operands);
    args.pixels = offsets;
    args.pixel_count = tile.pixels;
    args.tap_count = tap_count_;
    args.pitch = pitch;
    if (is_depthwise_)
      run_depthwise(args, tile, static_cast<float*>(out));
    else
      run_groups(args, tile, static_cast<float*>(out));
  }

  size_t weight_bytes() const override { return weights_.size() * sizeof(float); }

 private:
  static float value(const LayerSpec& spec, size_t channel, size_t at) {
    if (spec.weight.is_float) return spec.weight.values[channel * spec.per_channel() + at];
    return static_cast<float>(spec.level(channel, at));
  }

  size_t tap(size_t kh, size_t kw) const {
    return kh * window_.dilation_h * pitch_.row + kw * window_.dilation_w * pitch_.column;
  }

  void pack(const LayerSpec& spec) {
    tap_count_ = spec.per_channel();
    for (size_t i = 0; i < window_.group_inputs(); ++i)
      for (size_t kh = 0; kh < window_.kernel_h; ++kh)
        for (size_t kw = 0; kw < window_.kernel_w; ++kw) taps_.push_back(tap(kh, kw) + i);
    weights_.reserve(blocks_.size() * tap_count_ * kLanes);
    for (const Block& block : blocks_)
      for (size_t k = 0; k < tap_count_; ++k)
        for (size_t lane = 0; lane < kLanes; ++lane)
          weights_.push_back(lane < block.lanes ? value(spec, block.channel + lane, k) : 0.0f);
  }

  void pack_depthwise(const LayerSpec& spec) {
    tap_count_ = window_.taps();
    for (size_t kh = 0; kh < window_.kernel_h; ++kh)
      for (size_t kw = 0; kw < window_.kernel_w; ++kw) taps_.push_back(tap(kh, kw));
    // (blocks, taps, 16), so that a tile may hold any run of blocks; they are run one at a time.
    for (const Block& block : blocks_)
      for (size_t k = 0; k < tap_count_; ++k)
        for (size_t lane = 0; lane < kLanes; ++lane)
          weights_.push_back(lane < block.lanes ? value(spec, block.channel + lane, k) : 0.0f);
  }

  void run_depthwise(RealArgs& args, const Tile& tile, float* out) const {
    args.taps = taps_.data();
    args.block_count = 1;
    const float* in = args.in;
    for (size_t b = tile.first_block; b < tile.first_block + tile.blocks; ++b) {
      args.in = in + blocks_[b].channel;
      args.weights = weights_.data() + b * tap_count_ * kLanes;
      args.out = out + (b - tile.first_block) * kLanes;
      kernel_(args);
    }
  }

  // Blocks of one group share their input channels and are neighbours. A block's unused lanes overlap the next
  // group's first channels, which are written later.
  void run_groups(RealArgs& args, const Tile& tile, float* out) const {
    const size_t per_group = blocks_.size() / window_.groups;
    const size_t end = tile.first_block + tile.blocks;
    const float* in = args.in;
    args.taps = taps_.data();
    for (size_t b = tile.first_block; b < end; b += args.block_count) {
      const size_t group = b / per_group;
      args.block_count = std::min(end, (group + 1) * per_group) - b;
      args.in = in + group * window_.group_inputs();
      args.weights = weights_.data() + b * tap_count_ * kLanes;
      args.out = out + (blocks_[b].channel - blocks_[tile.first_block].channel);
      kernel_(args);
    }
  }

  bool is_depthwise_;
  void (*kernel_)(const RealArgs&);
  Pitch pitch_;
  size_t tap_count_ = 0;
  std::vector<size_t> taps_;
  std::vector<float> weights_;
};

}  // namespace

std::unique_ptr<Layer> make_real(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<RealLayer>(spec, kernels);
}

}  // namespace kompakt
