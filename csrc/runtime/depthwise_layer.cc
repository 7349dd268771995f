// Depthwise convolutions on bytes: every output channel reads one input channel of its own.
#include <algorithm>

#include "runtime/operands.h"

namespace kompakt {
namespace {

// Pixels of a tile that make setting up a block worth while.
constexpr size_t kPixels = 32;

class DepthwiseLayer final : public Layer {
 public:
  DepthwiseLayer(const LayerSpec& spec, const KernelSet& kernels, int32_t offset)
      : Layer(spec.window, blocks_across(spec.window)), kernel_(kernels.depthwise), frame_(spec, kernels, offset) {
    set_taps();
    makes_codes_ = kernels.dot_s16_shape.makes_codes && steps_ == kCodeSteps;
    weights_.assign(blocks_.size() * steps_ * kLanes * 4, 0);
    bias_.assign(blocks_.size() * kLanes, 0);
    for (size_t channel = 0; channel < window_.out.channels; ++channel) pack_channel(spec, channel, offset);
  }

  size_t frame_bytes(size_t images) const override { return frame_.bytes(images); }
  void prepare(const uint8_t* map, size_t images, uint8_t* frame) const override {
    frame_.prepare(map, images, frame);
  }
  const Placement* input_placement() const override { return frame_.input_placement(); }
  void fill_border(size_t images, uint8_t* frame) const override { frame_.fill_border(images, frame); }

  size_t scratch_bytes(size_t) const override { return 0; }
  size_t preferred_pixels() const override { return kPixels; }

  void run(const Tile& tile, const uint8_t* operands, uint8_t*, void* out, size_t pitch) const override {
    DepthwiseArgs args{};
    args.out = static_cast<int32_t*>(out);
    args.pitch = pitch;
    run_tile(tile, operands, args);
  }

  bool makes_codes() const override { return makes_codes_; }

  void run_codes(const Tile& tile, const uint8_t* operands, uint8_t*, const CodesArgs& codes) const override {
    DepthwiseArgs args{};
    args.codes = &codes;
    run_tile(tile, operands, args);
  }

  size_t weight_bytes() const override { return weights_.size(); }

 private:
  void run_tile(const Tile& tile, const uint8_t* operands, DepthwiseArgs& args) const {
    size_t offsets[kTilePixels];
    window_offsets(window_, frame_.pitch(), tile.first_pixel, tile.pixels, offsets);
    args.pixels = offsets;
    args.pixel_count = tile.pixels;
    args.taps = taps_.data();
    args.steps = steps_;
    args.column_taps = std::min<size_t>(window_.kernel_h, 4);
    args.slide_steps = slide_steps();
    args.slide = args.slide_steps > 0 ? frame_.pitch().column * window_.stride_w : 0;
    args.in = operands + tile.first_block * kLanes;
    args.weights = weights_.data() + tile.first_block * steps_ * kLanes * 4;
    args.block_count = tile.blocks;
    args.bias = bias_.data() + tile.first_block * kLanes;
    kernel_(args);
  }

  // Steps of four taps below each other, from left to right and then down.
  void set_taps() {
    steps_ = (window_.kernel_h + 3) / 4 * window_.kernel_w;
    for (size_t top = 0; top < window_.kernel_h; top += 4)
      for (size_t kw = 0; kw < window_.kernel_w; ++kw)
        for (size_t kh = top; kh < top + 4; ++kh)
          taps_.push_back(std::min(kh, window_.kernel_h - 1) * window_.dilation_h * frame_.pitch().row +
                          kw * window_.dilation_w * frame_.pitch().column);
  }

  // Steps by which a pixel's window reads what its left neighbour's does; 0: not at all.
  size_t slide_steps() const {
    if (window_.kernel_h > 4 || window_.stride_w % window_.dilation_w != 0) return 0;
    const size_t steps = window_.stride_w / window_.dilation_w;
    return steps <= 2 ? steps : 0;
  }

  void pack_channel(const LayerSpec& spec, size_t channel, int32_t offset) {
    const size_t block = channel / kLanes, lane = channel % kLanes;
    int32_t sum = 0;
    for (size_t kh = 0; kh < window_.kernel_h; ++kh)
      for (size_t kw = 0; kw < window_.kernel_w; ++kw) {
        const int32_t level = spec.level(channel, kh * window_.kernel_w + kw);
        const size_t step = block * steps_ + kh / 4 * window_.kernel_w + kw;
        weights_[(step * kLanes + lane) * 4 + kh % 4] = static_cast<int8_t>(level);
        sum += level;
      }
    bias_[channel] = static_cast<int32_t>(0u - static_cast<uint32_t>(sum) * static_cast<uint32_t>(offset));
  }

  void (*kernel_)(const DepthwiseArgs&);
  Frame<uint8_t> frame_;
  bool makes_codes_ = false;
  size_t steps_ = 0;
  std::vector<size_t> taps_;
  std::vector<int8_t> weights_;
  std::vector<int32_t> bias_;
};

}  // namespace

bool is_depthwise(const Window& window) {
  return window.groups > 1 && window.group_inputs() == 1 && window.group_outputs() == 1;
}

std::unique_ptr<Layer> make_depthwise(const LayerSpec& spec, const KernelSet& kernels) {
  return std::make_unique<DepthwiseLayer>(spec, kernels, byte_offset(spec));
}

}  // namespace kompakt
